"""What a start costs: `-version`, and `-once` with one service, beside the bare interpreter and its imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from ground import Ground, report


def wall_ms(command: list[str], *, times: int = 15) -> float:
    """The median of so many runs."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1e3, 1)


with Ground() as ground:
    agent = ground.consul()
    agent.register("web", port=80)
    (ground.path / "t.j2").write_text('{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}')
    python = [sys.executable, "-c"]
    once = ["-once", "-consul-addr", agent.address, "-state-dir", str(ground.path / "s"), "-template"]
    once.append(f"{ground.path / 't.j2'}:{ground.path / 'out.conf'}")
    figures = {
        "interpreter_ms": wall_ms([*python, "pass"]),
        "imports_ms": wall_ms([*python, "import asyncio, click, jinja2, msgspec, httptools"]),
        "version_ms": wall_ms([sys.executable, "-m", "ctemplate", "-version"]),
        "once_ms": wall_ms([sys.executable, "-m", "ctemplate", *once]),
    }
    slowest = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ctemplate", *once], capture_output=True, text=True, check=True
    ).stderr.splitlines()
    lines = [line.removeprefix("import time:").split("|") for line in slowest if line.startswith("import time:")][1:]
    ours = sorted(((int(own), name.strip()) for own, _, name in lines), reverse=True)[:5]
    figures["slowest_imports_us"] = {name: own for own, name in ours}
    said = (
        f"-version {figures['version_ms']} ms (the interpreter alone {figures['interpreter_ms']}), "
        f"-once with one service {figures['once_ms']} ms (the interpreter with its libraries {figures['imports_ms']})"
    )
    if ground.has_consul_template():
        (ground.path / "t.j2").write_text('{{range service "web"}}server {{.Address}}:{{.Port}};\n{{end}}')
        figures["consul_template_once_ms"] = wall_ms(
            ["consul-template", "-once", "-consul-addr", agent.address, "-template", once[-1]]
        )
        said += f"; consul-template -once {figures['consul_template_once_ms']} ms"
    report("startup", figures, said)
