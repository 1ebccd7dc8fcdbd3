"""What stands in a file, whatever its size and whatever happens to it meanwhile."""

from __future__ import annotations

import os

import pytest

from ctemplate.commit import reading
from ctemplate.commit.reading import CHUNK_BYTES, read

SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_is_read_whole(tmp_path, size):
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read(path) == content


@pytest.mark.parametrize("size", SIZES)
def test_a_file_that_grows_while_it_is_looked_at_is_read_to_its_end(tmp_path, monkeypatch, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)

    def open_then_grow(path):
        found = real(path)
        path.write_bytes(content)
        return found

    real, content = reading._open, os.urandom(size + 2 * CHUNK_BYTES)
    monkeypatch.setattr(reading, "_open", open_then_grow)
    assert read(path) == content


def test_no_file_is_none_and_what_could_block_is_an_error_that_leaves_nothing_open(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    before = os.listdir("/proc/self/fd")
    assert read(tmp_path / "none") is None
    with pytest.raises(OSError, match="not a regular file"):
        read(pipe)
    assert os.listdir("/proc/self/fd") == before
