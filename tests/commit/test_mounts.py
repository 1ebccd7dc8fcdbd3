"""What is mounted where, on real mounts with every name that the kernel has to escape."""

import os
import subprocess

import pytest

from ctemplate.commit.mounts import is_mounted, is_mounted_below

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def mount(tmp_path):
    """`mount(name)`: a directory of that name that something is mounted on."""
    mounted = []

    def make(name):
        path = tmp_path / "outer" / name
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", path], check=True)
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize(
    "name", ["plain", "a b", "a\tb", "a\nb", "a\\b", "a\\040b", "a\rb", "a\rb\rc", "é", os.fsdecode(b"\xff")]
)
def test_a_mount_is_found_whatever_its_name(mount, name):
    path = mount(name)
    assert is_mounted(path)
    assert is_mounted_below(path.parent)
    assert not is_mounted(path.parent)
    assert not is_mounted_below(path)


def test_a_name_that_only_begins_like_a_mounted_one_is_none(mount):
    path = mount("plain")
    assert not is_mounted(path.with_name("plai"))
    assert not is_mounted_below(path.with_name("plai"))


def test_a_mount_goes_with_a_directory_above_it_that_is_renamed(mount):
    path = mount("plain")
    assert is_mounted(path)
    outer = path.parent
    moved = outer.rename(outer.with_name("moved"))
    try:
        assert is_mounted(moved / "plain")
        assert is_mounted_below(moved)
        assert not is_mounted(path)
        assert not is_mounted_below(outer)
    finally:
        moved.rename(outer)


def test_what_is_mounted_and_taken_away_later_is_seen(mount):
    path = mount("first")
    assert is_mounted(path)
    later = mount("later")
    assert is_mounted(later)
    assert is_mounted(path)
    subprocess.run(["umount", path], check=True)
    assert not is_mounted(path)
    subprocess.run(["mount", "--bind", later, path], check=True)
    assert is_mounted(path)
