"""How sockets, memory, the first file and the CPU of a change grow up to 10,000 services, drawn as docs/growth.svg.

consul-template's are the grey lines, where it is on PATH.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from every_service import many
from ground import Ground, report

SIZES = (10, 100, 1000, 10000)
PANELS = (
    ("sockets", "sockets"),
    ("resident_mb", "memory, MB"),
    ("first_file_s", "first file, s"),
    ("cpu_ms", "CPU of a health change, ms"),
)
WIDTH, HEIGHT, PAD = 300, 200, 46
COLOURS = {"consul-template": "#888", "ctemplate": "#06c"}
"""By program; the last is drawn above the others."""
LEAST = 0.01
"""What is drawn for nothing, since the axes are logarithmic."""


def panel(title: str, lines: dict[str, list[float]], *, left: int, top: int) -> str:
    """One small plot, both axes logarithmic; `lines` by program."""
    values = [value for line in lines.values() for value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 0.01)
    inner_width, inner_height = WIDTH - 2 * PAD, HEIGHT - 2 * PAD

    def at(place: int, value: float) -> tuple[float, float]:
        x = left + PAD + place * inner_width / (len(SIZES) - 1)
        return x, top + HEIGHT - PAD - (math.log10(value) - low) / (high - low) * inner_height

    parts = [f'<text x="{left + PAD}" y="{top + 20}" font-weight="bold">{title}</text>']
    parts += [
        f'<line x1="{left + PAD}" x2="{left + WIDTH - PAD}" y1="{at(0, 10.0**power)[1]:.1f}" '
        f'y2="{at(0, 10.0**power)[1]:.1f}" stroke="#ccc"/>'
        f'<text x="{left + PAD - 6}" y="{at(0, 10.0**power)[1] + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        for power in range(low, high + 1)
    ]
    parts += [
        f'<text x="{at(place, 1)[0]:.1f}" y="{top + HEIGHT - PAD + 18}" text-anchor="middle">{size:,}</text>'
        for place, size in enumerate(SIZES)
    ]
    for row, (program, line) in enumerate(lines.items()):
        colour = COLOURS[program]
        x, y = left + WIDTH - 6, top + 14 * (row + 1)
        parts.append(f'<text x="{x}" y="{y}" text-anchor="end" fill="{colour}">{program}</text>')
        points = [at(place, value) for place, value in enumerate(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), value in zip(points, line, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            parts.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle" fill="{colour}">{value:g}</text>')
    return "\n".join(parts)


def drawn(programs: dict[str, dict[int, dict[str, float]]]) -> str:
    """The four plots; `programs` by name, each by size."""
    panels = [
        panel(
            title,
            {
                program: [max(programs[program][size][key], LEAST) for size in SIZES]
                for program in COLOURS
                if program in programs
            },
            left=number % 2 * WIDTH,
            top=number // 2 * HEIGHT,
        )
        for number, (key, title) in enumerate(PANELS)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>' + "\n".join(panels) + "</svg>\n"
    )


def four(found: dict[str, Any]) -> dict[str, float]:
    """What is drawn, of what was measured."""
    return {**{key: found[key] for key, _ in PANELS[:3]}, "cpu_ms": found["health"]["cpu_ms_a_change"]}


def sentence_of(sizes: dict[int, dict[str, float]]) -> str:
    """From the smallest to the largest."""
    first, last = sizes[SIZES[0]], sizes[SIZES[-1]]
    return (
        f"sockets {first['sockets']} to {last['sockets']}, memory {first['resident_mb']} to {last['resident_mb']} MB, "
        f"first file {first['first_file_s']} to {last['first_file_s']} s, CPU of a health change {first['cpu_ms']} to "
        f"{last['cpu_ms']} ms"
    )


ours: dict[int, dict[str, float]] = {}
gos: dict[int, dict[str, float]] = {}
for size in SIZES:
    with Ground() as ground:
        agent = ground.consul()
        found = many(ground, agent, agent.fill(size), changes=10)
        ours[size] = four(found)
        if go := found["consul_template"]:
            gos[size] = four(go)
said = f"from 10 to 10,000 services: {sentence_of(ours)}"
if gos:
    said += f"; consul-template: {sentence_of(gos)}"
(Path(__file__).parents[1] / "docs/growth.svg").write_text(
    drawn({"consul-template": gos, "ctemplate": ours} if gos else {"ctemplate": ours})
)
report("growth", {"ctemplate": ours, "consul_template": gos or None}, said)
