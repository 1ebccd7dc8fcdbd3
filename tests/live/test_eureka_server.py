"""A real Eureka in front of a real nginx, with clients that beat: what goes wrong with one while requests come in.

`make test-eureka` runs it; a JVM that starts again and again is too slow for every day.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.eureka_server import QUICK, Eureka, jar_or_skip

TEMPLATE = Path(__file__).parents[2] / "templates/nginx-http.conf.j2"
FOLLOW_SECONDS = 20.0
TAGGED = {"metadata": {"tags": "http"}}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def make_eureka(tmp_path: Path, free_port, eventually) -> Iterator[Callable[..., Eureka]]:
    """`make_eureka(**settings)`: a started server; ended after the test."""
    jar, made = jar_or_skip(), []

    def make(**settings: Any) -> Eureka:
        directory = tmp_path / f"eureka-{len(made)}"
        directory.mkdir()
        made.append(Eureka(jar, directory, port=free_port(), eventually=eventually, **settings))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()


class Traffic(threading.Thread):
    """Asks nginx all the time, and notes every answer that is none and every set of servers that the file had."""

    def __init__(self, nginx, file: Path) -> None:
        super().__init__(daemon=True)
        self._nginx, self._file = nginx, file
        self._done = threading.Event()
        self.answered = 0
        self.failed: list[int | str] = []
        self.seen: list[frozenset[int]] = []

    def run(self) -> None:
        while not self._done.is_set():
            try:
                status, _ = self._nginx.get(host="web")
            except OSError as fault:
                self.failed.append(str(fault))
            else:
                self.answered += 1
                if status != 200:
                    self.failed.append(status)
            self._look()
            time.sleep(0.005)  # the pace of the requests, not a wait

    def end(self) -> None:
        self._done.set()
        self.join()
        self._look()

    def _look(self) -> None:
        if not self.seen or self.seen[-1] != listed(self._file):
            self.seen.append(listed(self._file))


def answers(nginx) -> bool:
    with contextlib.suppress(OSError):  # nothing listens before the first reload
        return nginx.get(host="web")[0] == 200
    return False


def listed(file: Path) -> frozenset[int]:
    return frozenset(int(port) for port in re.findall(r"server 127\.0\.0\.1:(\d+) ", file.read_text()))


@pytest.fixture
def served(tmp_path: Path, make_nginx, ctemplate, eventually):
    """`served(url, *ports, **options)`: nginx over ctemplate over Eureka, with requests coming in; and how to wait."""
    threads: list[Traffic] = []

    def serve(eureka: Eureka, *ports: int, **options: str):
        nginx = make_nginx()
        file = nginx.conf_d / "web.conf"
        lines = "".join(f'{name} = "{value}"\n' for name, value in options.items())
        (tmp_path / "ctemplate.toml").write_text(
            f'[catalog.default]\nurl = "eureka://127.0.0.1:{eureka.port}/eureka"\n{lines}'
            f'[[template]]\nsource = "{TEMPLATE}"\ndestination = "{file}"\ncommand = "{nginx.reload_command}"\n'
            f'vars = {{ listen = "127.0.0.1:{nginx.port}" }}\n'
        )
        nginx.start()
        running = ctemplate("-config", tmp_path / "ctemplate.toml")
        eventually(lambda: file.exists() and listed(file) == set(ports), 120)
        eventually(lambda: answers(nginx), 20)
        threads.append(Traffic(nginx, file))
        threads[-1].start()
        return (
            threads[-1],
            running,
            lambda *expected, within=FOLLOW_SECONDS: eventually(lambda: listed(file) == set(expected), within),
        )

    yield serve
    for thread in threads:
        thread.end()


def test_nginx_serves_while_eureka_expires_freezes_is_killed_and_comes_back_empty(make_eureka, served, make_backend):
    a, b, c = (make_backend(name).port for name in "abc")
    eureka = make_eureka(**QUICK)
    for name, port in (("a", a), ("b", b), ("c", c)):
        eureka.put("web", name, port, **TAGGED)
    traffic, running, until = served(eureka, a, b, c, interval="500ms", lease="20s")

    eureka.set_status("web", "c", "OUT_OF_SERVICE")
    until(a, b)
    eureka.set_status("web", "c", "UP")
    until(a, b, c)

    mark = running.mark()
    eureka.kill()
    running.wait_for(") is away: ", timeout=60, since=mark)
    eureka.start()  # empty, until its clients beat again
    running.wait_for(") is back after ", timeout=90, since=mark)
    mark = running.mark()
    eureka.freeze()
    running.wait_for(") is away: ", timeout=60, since=mark)
    eureka.thaw()
    eureka.die("web", "b")
    until(a, c, within=60)

    traffic.end()
    assert traffic.failed == []
    assert traffic.answered > 100
    assert traffic.seen == [{a, b, c}, {a, b}, {a, b, c}, {a, c}]


def test_with_all_defaults_a_change_is_in_the_file_within_the_cache_and_the_interval(make_eureka, served, make_backend):
    a, b = (make_backend(name).port for name in "ab")
    eureka = make_eureka()
    eureka.put("web", "a", a, **TAGGED)
    traffic, _, until = served(eureka, a)
    eureka.put("web", "b", b, **TAGGED)
    until(a, b, within=30 + 33 + 10)
    eureka.set_status("web", "a", "OUT_OF_SERVICE")
    until(b, within=30 + 33 + 10)
    traffic.end()
    assert traffic.failed == []
