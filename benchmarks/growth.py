"""How sockets, memory, the first file and the CPU of a change grow up to 10,000 services, drawn as docs/growth.svg."""

from __future__ import annotations

import math
from pathlib import Path

from ground import Ground, many, report

SIZES = (10, 100, 1000, 10000)
PANELS = (
    ("sockets", "sockets"),
    ("resident_mb", "memory, MB"),
    ("first_file_s", "first file, s"),
    ("cpu_ms", "CPU of a health change, ms"),
)
WIDTH, HEIGHT, PAD = 300, 200, 46


def panel(title: str, values: list[float], *, left: int, top: int) -> str:
    """One small plot, both axes logarithmic."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 0.01)
    inner_width, inner_height = WIDTH - 2 * PAD, HEIGHT - 2 * PAD

    def at(place: int, value: float) -> tuple[float, float]:
        x = left + PAD + place * inner_width / (len(SIZES) - 1)
        return x, top + HEIGHT - PAD - (math.log10(value) - low) / (high - low) * inner_height

    points = [at(place, value) for place, value in enumerate(values)]
    parts = [f'<text x="{left + PAD}" y="{top + 20}" font-weight="bold">{title}</text>']
    parts += [
        f'<line x1="{left + PAD}" x2="{left + WIDTH - PAD}" y1="{at(0, 10.0**power)[1]:.1f}" '
        f'y2="{at(0, 10.0**power)[1]:.1f}" stroke="#ccc"/>'
        f'<text x="{left + PAD - 6}" y="{at(0, 10.0**power)[1] + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        for power in range(low, high + 1)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#06c" stroke-width="2"/>')
    for (x, y), size, value in zip(points, SIZES, values, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>')
        parts.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{top + HEIGHT - PAD + 18}" text-anchor="middle">{size:,}</text>')
    return "\n".join(parts)


figures = {}
for size in SIZES:
    with Ground() as ground:
        agent = ground.consul()
        found = many(ground, agent, agent.fill(size), changes=10)
        figures[size] = {key: found[key] for key in ("sockets", "resident_mb", "first_file_s")}
        figures[size]["cpu_ms"] = found["health"]["cpu_ms_a_change"]
panels = [
    panel(
        title,
        [max(figures[size][key], 0.01) for size in SIZES],
        left=number % 2 * WIDTH,
        top=number // 2 * HEIGHT,
    )
    for number, (key, title) in enumerate(PANELS)
]
svg = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT}" font-family="sans-serif" '
    f'font-size="11"><rect width="100%" height="100%" fill="white"/>' + "\n".join(panels) + "</svg>\n"
)
(Path(__file__).parents[1] / "docs/growth.svg").write_text(svg)
last = figures[10000]
report(
    "growth",
    {str(size): each for size, each in figures.items()},
    f"from 10 to 10,000 services: sockets {figures[10]['sockets']} to {last['sockets']}, memory "
    f"{figures[10]['resident_mb']} to {last['resident_mb']} MB, first file {figures[10]['first_file_s']} to "
    f"{last['first_file_s']} s, CPU of a health change {figures[10]['cpu_ms']} to {last['cpu_ms']} ms",
)
