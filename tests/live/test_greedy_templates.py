"""Templates that would take all memory, or all time: each keeps its file, the daemon and the others go on."""

from __future__ import annotations

from pathlib import Path

BOMBS = {
    "repeat": "{{ 'x' * 10**9 ~ 'x' * 10**9 }}",
    "huge": "{{ 'x' * 10**11 }}",
    "list": "{{ ([0] * 10**9) | length }}",
    "double": "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "grow": "{% set l = [] %}{% for i in range(10**6) %}{% do l.append('x' * 10**5 ~ i) %}{% endfor %}",
    "width": "{{ '%2000000000d' % 5 }}",
    "center": "{{ 'x' | center(2 * 10**9) }}",
    "range": "{{ range(10**12) | sum }}",
    "number": "{{ " + "1" * 5000 + " }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
}
LIMIT_KIB = 2**20
"""What one rendering may add (`engine.memory`)."""


def peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_no_template_takes_the_memory_of_the_host(ctemplate, tmp_path, eventually):
    tables = [f'[[template]]\ncontents = """{text}"""\ndestination = "out/{name}"\n' for name, text in BOMBS.items()]
    tables.append('[[template]]\ncontents = "{{ key(\'good\') }}"\ndestination = "out/good"\n')
    (tmp_path / "out").mkdir()
    (tmp_path / "services.yaml").write_text("keys: {good: first}\n")
    (tmp_path / "ctemplate.toml").write_text('catalog = "file:services.yaml"\n' + "\n".join(tables))

    running = ctemplate("-config", tmp_path / "ctemplate.toml")

    for name in BOMBS:
        running.wait_for(f"cannot render {tmp_path}/out/{name}, its file stays as it is", timeout=120)
    good = tmp_path / "out/good"
    eventually(lambda: good.exists() and good.read_text() == "first", 60)
    (tmp_path / "services.yaml").write_text("keys: {good: second}\n")
    eventually(lambda: good.read_text() == "second", 60)
    eventually(lambda: [path.name for path in (tmp_path / "out").iterdir()] == ["good"])  # the old one goes last
    assert peak_kib(running.pid) < LIMIT_KIB + 200 * 1024
    assert running.stop() == 0
