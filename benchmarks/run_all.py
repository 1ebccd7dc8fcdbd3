"""Runs the benchmarks one after the other and writes what they say to RESULTS.md.

    python benchmarks/run_all.py [NAME …]     # `make bench ROWS="idle once"`; by default all of them

Rows that are not run again keep what was last said of them. Beside each stands how fast the machine was just before and
just after it (`yardstick.py`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time

from ground import HERE, machine

ROWS = (
    "startup", "value_check", "one_service", "once", "thousand_services", "few_nodes", "own_polls",
    "ten_thousand_services", "ten_thousand_polls", "storm", "five_hundred_templates", "idle", "rolling_deploy",
    "neighbours", "growth",
)  # fmt: skip
RESULTS = HERE / "RESULTS.md"
_ROW = re.compile(r"^\| `(\w+)` \|.*$", re.MULTILINE)


def known() -> dict[str, str]:
    """The rows of the last run."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    return {found[1]: found[0] for found in _ROW.finditer(text)}


def versions() -> str:
    """What Consul says of itself in its first line, and consul-template where it is on PATH."""
    found = subprocess.run([HERE.parent / "tools/get_server.sh", "consul"], capture_output=True, text=True, check=True)
    programs = [[found.stdout.strip(), "version"]]
    if shutil.which("consul-template"):
        programs.append(["consul-template", "-version"])
    said = [subprocess.run(program, capture_output=True, text=True) for program in programs]
    return ", ".join((each.stdout or each.stderr).splitlines()[0].removesuffix(" ()") for each in said)


def yardstick() -> float:
    """Milliseconds that plain Jinja2 takes for 50,000 lines now."""
    done = subprocess.run([sys.executable, HERE / "yardstick.py"], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[0])["median_ms"])


def main(names: list[str]) -> int:
    """Run, write, and return how many failed."""
    if unknown := set(names) - set(ROWS):
        sys.exit(f"no benchmark is called {sorted(unknown)[0]}; there are: {', '.join(ROWS)}")
    rows, failed = known(), 0
    head = f"{time.strftime('%Y-%m-%d')}, {machine()}, {versions()}"
    for name in names or ROWS:
        before, began = yardstick(), time.monotonic()
        done = subprocess.run([sys.executable, HERE / f"{name}.py"], capture_output=True, text=True)
        took = time.monotonic() - began
        if done.returncode:
            failed += 1
            print(f"{name} FAILED\n{done.stderr[-2000:]}", file=sys.stderr, flush=True)
            continue
        *_, raw, said = done.stdout.splitlines()
        json.loads(raw)
        print(f"{said}\n{raw}\n({took:.0f} s)", flush=True)
        rows[name] = f"| `{name}` | {said} | {before:.0f} / {yardstick():.0f} ms | {head} |"
        text = (
            "# What was measured\n\nWritten by `make bench`. Read the ratios; absolute figures are of one machine in\n"
            "one hour: the yardstick is what plain Jinja2 took there for 50,000 lines, before and after.\n\n"
        )
        text += "| benchmark | result | yardstick | where and when |\n| --- | --- | --- | --- |\n"
        RESULTS.write_text(text + "\n".join(rows[row] for row in ROWS if row in rows) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
