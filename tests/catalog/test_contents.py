"""Reading a file while somebody writes it."""

from __future__ import annotations

import threading

from ctemplate.catalog.contents import read_text


def test_a_file_that_is_being_written_in_place_is_read_when_the_writer_is_done(tmp_path):
    path = tmp_path / "a.ctmpl"
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
