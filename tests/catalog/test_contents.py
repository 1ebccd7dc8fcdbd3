"""Reading a file while somebody writes it."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from ctemplate.catalog.contents import read_text
from ctemplate.errors import Refused


@pytest.fixture
def memory():
    """A directory whose files no disk holds up: a writer that stands still for long is taken to be done."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


def test_a_file_that_is_being_written_in_place_is_read_when_the_writer_is_done(memory):
    path = memory / "a.ctmpl"
    emptied = threading.Event()

    def write():
        for number in range(20):
            with path.open("w") as file:
                file.write("half ")
                file.flush()
                emptied.set()
                file.write(f"and the rest {number}")

    writer = threading.Thread(target=write)
    writer.start()
    emptied.wait()
    text = read_text(path, kept="nothing")
    writer.join()
    assert text == "half and the rest 19"


def test_a_file_that_is_written_all_the_time_is_read_all_the_same(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_text("x")
    done = threading.Event()

    def touch():
        while not done.wait(0.005):
            path.touch()

    writer = threading.Thread(target=touch)
    writer.start()
    try:
        assert read_text(path, kept="nothing") == "x"
    finally:
        done.set()
        writer.join()


@pytest.fixture
def tree(tmp_path):
    """`root` with a file, links to it and out of it; `link` leads to `root`."""
    (tmp_path / "root/..data").mkdir(parents=True)
    (tmp_path / "root/a").write_text("inside")
    (tmp_path / "root/..data/b").write_text("inside")
    (tmp_path / "root/b").symlink_to("..data/b")
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "root/out").symlink_to("../secret")
    (tmp_path / "root/up").symlink_to("..")
    (tmp_path / "root-other").write_text("outside")
    (tmp_path / "link").symlink_to("root")
    return tmp_path


@pytest.mark.parametrize("name", ["root/a", "root/b", "link/a", "link/b", "root/up/root/a"])
def test_a_file_that_really_lies_below_a_root_is_read(tree, name):
    for root in ("root", "link"):
        assert read_text(tree / name, kept="nothing", roots=["/nowhere", str(tree / root)]) == "inside"


@pytest.mark.parametrize("name", ["root/out", "root/up/secret", "link/out", "root-other", "secret"])
def test_no_symbolic_link_leads_out_of_the_roots(tree, name):
    with pytest.raises(Refused, match="file_roots"):
        read_text(tree / name, kept="nothing", roots=[str(tree / "root")])
    assert read_text(tree / name, kept="nothing") == "outside"
