"""What the kernel tells of changes in directories, on real ones."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path

import pytest

from ctemplate.catalog import directories
from ctemplate.catalog.directories import Directories

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.fixture(autouse=True)
def soon_calm(monkeypatch):
    monkeypatch.setattr(directories, "CALM_SECONDS", 0.02)


def changes(*paths, do, seconds=10.0):
    """Return what is told of `paths` when `do()` was done."""

    async def main():
        with closing(Directories()) as watched:
            watched.add(map(str, paths))
            do()
            return await watched.changes(seconds)

    return asyncio.run(main())


def test_whatever_happens_to_a_name_is_told_by_its_path(tmp_path):
    file, other = tmp_path / "file", tmp_path / "other"

    def told(do):
        return changes(tmp_path, do=do)

    assert told(file.touch) == {str(file)}
    assert told(lambda: file.write_text("text")) == {str(file)}
    assert told(lambda: file.chmod(0o600)) == {str(file)}
    assert told(lambda: file.rename(other)) == {str(file), str(other)}
    assert told(lambda: file.symlink_to(other)) == {str(file)}
    assert told(other.unlink) == {str(other)}


def test_what_is_written_and_not_closed_is_told(tmp_path):
    with (tmp_path / "file").open("w") as file:
        assert changes(tmp_path, do=lambda: print("line", file=file, flush=True)) == {str(tmp_path / "file")}


def test_reading_is_no_change(tmp_path):
    (tmp_path / "file").write_text("text")
    assert changes(tmp_path, do=(tmp_path / "file").read_text, seconds=0.1) == set()


def test_changes_that_come_together_are_told_together_and_those_that_do_not_stop_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(directories, "GATHER_SECONDS", 0.3)
    made = []

    async def publish():
        while True:
            made.append(tmp_path / str(len(made)))
            made[-1].touch()
            await asyncio.sleep(0.005)

    async def main():
        with closing(Directories()) as watched:
            watched.add([str(tmp_path)])
            publishing = asyncio.create_task(publish())
            told = await asyncio.wait_for(watched.changes(10), 5)
            publishing.cancel()
            return told

    told = asyncio.run(main())
    assert 10 < len(told) <= len(made)
    assert told <= set(map(str, made))


@pytest.mark.parametrize(
    "do", [lambda path: path.rmdir(), lambda path: path.rename(path.with_name("moved")), lambda path: path.chmod(0o700)]
)
def test_a_directory_that_goes_or_is_another_is_told_itself(tmp_path, do):
    (tmp_path / "here").mkdir()
    assert changes(tmp_path / "here", do=lambda: do(tmp_path / "here")) == {str(tmp_path / "here")}


def test_two_directories_of_which_the_kernel_makes_one_are_both_told(tmp_path):
    (tmp_path / "same").symlink_to(".")
    told = changes(tmp_path, tmp_path / "same", do=(tmp_path / "file").touch)
    assert told == {str(tmp_path / "file"), str(tmp_path / "same" / "file")}


def test_a_name_that_is_no_text_is_told_as_python_spells_it(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    assert changes(tmp_path, do=(tmp_path / name).touch) == {str(tmp_path / name)}


def test_when_the_kernel_dropped_something_every_directory_is_told(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()

    def flood():
        for number in range(QUEUE + 1):
            os.utime(tmp_path / "ab"[number % 2])  # equal ones in a row would be told as one

    assert changes(tmp_path, tmp_path / "a", tmp_path / "b", do=flood) >= {str(tmp_path), str(tmp_path / "a")}


def test_a_directory_that_is_gone_or_none_cannot_be_watched(tmp_path):
    (tmp_path / "file").touch()
    for path, fault in ((tmp_path / "gone", FileNotFoundError), (tmp_path / "file", NotADirectoryError)):
        with pytest.raises(fault):
            changes(path, do=pytest.fail)
