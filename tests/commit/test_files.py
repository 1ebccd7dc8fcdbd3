"""One file's way through a commit: attributes, links, mounts, full disks."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.changes import Broken, Change, Committed, Proof, Rejected, RolledBack, Step
from ctemplate.commit import files
from ctemplate.commit.events import WrittenInPlace
from ctemplate.commit.files import Entry, Standing
from ctemplate.errors import FileError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and give files away")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB at the destinations."""
    live = tmp_path / "live"
    live.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", live], check=True)
    yield live
    subprocess.run(["umount", live], check=True)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A destination that something is bind-mounted on, as a container runtime does it."""
    target = tmp_path / "live" / "app.conf"
    target.parent.mkdir()
    target.touch()
    (tmp_path / "source").write_text("old\n")
    subprocess.run(["mount", "--bind", tmp_path / "source", target], check=True)
    yield target
    subprocess.run(["umount", target], check=True)


def change(path: Path, content: bytes, **options: Any) -> Change:
    old = path.read_bytes() if path.exists() else None
    return Change(template=str(path), destination=path, content=content, old=old, **options)


# Attributes


def test_a_new_file_is_readable_by_all_and_a_sensitive_one_by_its_owner(bench: Any) -> None:
    bench.apply({"app.conf": "x\n"})
    bench.apply({"secret": "x\n"}, sensitive=True)
    assert (mode_of(bench.live / "app.conf"), mode_of(bench.live / "secret")) == (0o644, 0o600)


def test_the_mode_of_the_old_file_is_kept_unless_one_is_set(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    (bench.live / "a").chmod(0o640)
    bench.apply({"a": "new\n"})
    assert mode_of(bench.live / "a") == 0o640
    bench.apply({"a": "newer\n"}, mode=0o604)
    assert mode_of(bench.live / "a") == 0o604


def test_a_mode_that_drifted_is_put_right_though_the_bytes_are_equal(bench: Any) -> None:
    (bench.live / "a").write_text("same\n")
    (bench.live / "a").chmod(0o666)
    assert bench.apply({"a": "same\n"}, mode=0o640, command="true") == {"a": Committed(proof=Proof.NONE)}
    assert mode_of(bench.live / "a") == 0o640
    assert bench.apply({"a": "same\n"}, mode=0o640) == {}


@as_root
def test_a_mode_that_drifted_is_rolled_back_with_its_command(bench: Any) -> None:
    (bench.live / "a").write_text("same\n")
    (bench.live / "a").chmod(0o666)
    command = f"test $(stat -c %a {bench.live}/a) = 666"
    assert isinstance(bench.apply({"a": "same\n"}, mode=0o640, command=command)["a"], RolledBack)
    assert mode_of(bench.live / "a") == 0o666
    assert bench.files() == {"a": "same\n"}


@as_root
def test_the_owner_of_the_old_file_is_kept_unless_one_is_set(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    os.chown(bench.live / "a", 12, 34)
    bench.apply({"a": "new\n"})
    assert ((bench.live / "a").stat().st_uid, (bench.live / "a").stat().st_gid) == (12, 34)
    bench.apply({"a": "newer\n"}, user="nobody", group=56)
    owner = (bench.live / "a").stat()
    assert (owner.st_uid, owner.st_gid) == (int(subprocess.check_output(["id", "-u", "nobody"])), 56)


def test_an_unknown_user_is_rejected_and_named(bench: Any) -> None:
    outcome = bench.apply({"a": "new\n"}, user="no-such-user")["a"]
    assert isinstance(outcome, Rejected)
    assert outcome.step is Step.STAGE
    assert "no-such-user" in outcome.reason
    assert bench.files() == {}


def as_nobody(bench: Any) -> None:
    outcome = bench.apply({"a": "new\n"}, command=f"echo ran >> {bench.log}")["a"]
    assert isinstance(outcome, Rejected), outcome
    assert outcome.step is Step.STAGE, outcome
    assert "owner" in outcome.reason, outcome


@as_root
def test_an_owner_that_cannot_be_kept_is_rejected_before_anything_is_live(bench: Any, in_child: Any) -> None:
    (bench.live / "a").write_text("old\n")
    bench.live.chmod(0o777)
    powerless = ("setpriv", "--bounding-set=-chown", "--inh-caps=-chown")
    os.chown(bench.live / "a", 12, 34)
    child = in_child(as_nobody, prefix=powerless)
    assert child.returncode == 0, child.stderr
    assert bench.files() == {"a": "old\n"}
    assert bench.lines() == []


def test_the_acl_of_the_old_file_is_kept(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    named = 2
    entries = [(1, 6, 2**32 - 1), (named, 4, 12), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 0, 2**32 - 1)]
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, rights, who in entries
    )
    try:
        os.setxattr(bench.live / "a", "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no ACLs")
    bench.apply({"a": "new\n"})
    assert os.getxattr(bench.live / "a", "system.posix_acl_access") == acl


# Places


def test_a_symbolic_link_is_followed_and_stays_one(bench: Any) -> None:
    (bench.root / "elsewhere").mkdir()
    (bench.root / "elsewhere" / "real.conf").write_text("old\n")
    (bench.live / "app.conf").symlink_to("../elsewhere/real.conf")
    bench.apply({"app.conf": "new\n"}, command="true")
    assert (bench.live / "app.conf").is_symlink()
    assert (bench.root / "elsewhere" / "real.conf").read_text() == "new\n"
    assert [path.name for path in (bench.root / "elsewhere").iterdir()] == ["real.conf"]


def test_a_link_to_nothing_yet_is_followed_too(bench: Any) -> None:
    (bench.live / "app.conf").symlink_to(bench.live / "later.conf")
    bench.apply({"app.conf": "new\n"})
    assert (bench.live / "app.conf").is_symlink()
    assert (bench.live / "later.conf").read_text() == "new\n"


def test_a_missing_directory_is_an_error_that_says_what_to_do(bench: Any) -> None:
    outcome = bench.apply({"deep/app.conf": "new\n"})["deep/app.conf"]
    assert isinstance(outcome, Rejected)
    assert "create_dirs" in outcome.reason
    assert not (bench.live / "deep").exists()


def test_a_missing_directory_is_made_where_that_is_asked_for(bench: Any) -> None:
    bench.apply({"deep/er/app.conf": "new\n"}, create_dirs=True)
    assert bench.files() == {"deep/er/app.conf": "new\n"}


def test_directories_that_were_made_for_a_refused_file_are_gone_again(bench: Any) -> None:
    bench.apply({"deep/er/app.conf": "new\n"}, create_dirs=True, checks=["false"])
    assert list(bench.live.iterdir()) == []


def test_names_beside_a_destination_are_hidden_from_includes(bench: Any) -> None:
    command = f"ls {bench.live}/* >> {bench.log}; ls -A {bench.live} | grep -c ctemplate >> {bench.log}"
    (bench.live / "app.conf").write_text("old\n")
    bench.apply({"app.conf": "new\n"}, command=command)
    assert bench.lines() == [str(bench.live / "app.conf"), "1"]


def test_one_generation_is_kept_where_a_backup_is_asked_for(bench: Any) -> None:
    for content in ("1\n", "2\n", "3\n"):
        bench.apply({"a": content}, backup=True, command="true")
    assert bench.files() == {"a": "3\n", "a.bak": "2\n"}
    bench.apply({"a": "4\n"}, backup=True)
    assert bench.files() == {"a": "4\n", "a.bak": "3\n"}


def test_a_backup_is_not_touched_by_what_is_rolled_back(bench: Any) -> None:
    bench.apply({"a": "1\n"}, backup=True)
    bench.apply({"a": "2\n"}, backup=True)
    bench.apply({"a": "3\n"}, backup=True, command=f"! grep 3 {bench.live}/a")
    assert bench.files() == {"a": "2\n", "a.bak": "1\n"}


# Disks


@as_root
def test_a_full_disk_rejects_leaves_nothing_and_runs_nothing(tiny: Path, bench: Any) -> None:
    (tiny / "a").write_text("old\n")
    outcome = bench.apply({"a": "x" * 100_000}, command=f"echo ran >> {bench.log}")["a"]
    assert isinstance(outcome, Rejected)
    assert outcome.step is Step.STAGE
    assert "No space left" in outcome.reason
    assert bench.files() == {"a": "old\n"}
    assert bench.lines() == []
    assert bench.journal_files() == []


@as_root
def test_one_file_that_finds_no_room_does_not_hold_the_others(tiny: Path, bench: Any) -> None:
    outcomes = bench.apply({"a": "1\n", "big": "x" * 100_000, "c": "1\n"}, command="true")
    assert outcomes["a"] == outcomes["c"] == Committed(proof=Proof.NONE)
    assert isinstance(outcomes["big"], Rejected)
    assert bench.files() == {"a": "1\n", "c": "1\n"}


@as_root
def test_a_read_only_disk_rejects(tiny: Path, bench: Any) -> None:
    (tiny / "a").write_text("old\n")
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    outcome = bench.apply({"a": "new\n"})["a"]
    assert isinstance(outcome, Rejected)
    assert "Read-only" in outcome.reason


@as_root
def test_where_no_hard_link_can_be_had_the_old_file_is_copied(bench: Any, monkeypatch: Any) -> None:
    """No file system without links is at hand: the kernel's answer is what is faked."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (bench.live / "a").write_text("old\n")
    (bench.live / "a").chmod(0o640)
    assert isinstance(bench.apply({"a": "new\n"}, command=f"grep old {bench.live}/a")["a"], RolledBack)
    assert bench.files() == {"a": "old\n"}
    assert mode_of(bench.live / "a") == 0o640


# What cannot be renamed over


@as_root
def test_a_mounted_file_is_written_in_place_with_a_warning(mounted: Path, bench: Any) -> None:
    assert bench.apply({"app.conf": "new content\n"}, command="true") == {"app.conf": Committed(proof=Proof.NONE)}
    assert (bench.root / "source").read_text() == "new content\n"
    assert bench.files() == {"app.conf": "new content\n"}
    assert [event.destination for event in bench.events(WrittenInPlace)] == [str(mounted)]


@as_root
def test_a_mounted_file_is_restored_in_place(mounted: Path, bench: Any) -> None:
    outcome = bench.apply({"app.conf": "new content\n"}, command=f"grep old {mounted}")["app.conf"]
    assert isinstance(outcome, RolledBack)
    assert bench.files() == {"app.conf": "old\n"}


@as_root
def test_a_mounted_file_without_a_command_is_written_under_a_journal(mounted: Path, bench: Any) -> None:
    assert bench.apply({"app.conf": "new\n"}) == {"app.conf": Committed(proof=Proof.NO_COMMAND)}
    assert bench.journals.is_dir()
    assert bench.files() == {"app.conf": "new\n"}


@as_root
def test_no_room_for_a_mounted_file_leaves_it_as_it_was(bench: Any) -> None:
    small = bench.root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", small], check=True)
    target = bench.live / "app.conf"
    target.touch()
    (small / "source").write_text("old\n")
    subprocess.run(["mount", "--bind", small / "source", target], check=True)
    try:
        outcome = bench.apply({"app.conf": "x" * 100_000}, command=f"echo ran >> {bench.log}")["app.conf"]
        assert isinstance(outcome, RolledBack)
        assert "No space left" in outcome.reason
        assert bench.files() == {"app.conf": "old\n"}
        assert bench.lines() == []
        assert not isinstance(outcome, Broken)
    finally:
        subprocess.run(["umount", target, small], check=True)


@as_root
def test_a_torn_write_in_place_is_recognised_and_restored(mounted: Path) -> None:
    wanted = change(mounted, b"new new new\n")
    entry = files.keep_old(files.stage(wanted, ident="0" * 8), wanted)
    mounted.write_bytes(b"new n")
    assert files.standing(entry) is Standing.TORN
    assert files.restore(entry) is Standing.TORN
    assert mounted.read_bytes() == b"old\n"


@given(st.binary(max_size=40), st.binary(max_size=40), st.data())
def test_whatever_a_crash_mixes_of_old_new_and_zero_counts_as_torn(old: bytes, new: bytes, data: Any) -> None:
    length = data.draw(st.integers(0, max(len(old), len(new))))
    mixed = bytes(data.draw(st.sampled_from([0, *old[at : at + 1], *new[at : at + 1]])) for at in range(length))
    assert files._torn(mixed, old, new)


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=40), st.data())
def test_one_byte_from_elsewhere_is_somebodys_own(old: bytes, new: bytes, data: Any) -> None:
    at = data.draw(st.integers(0, len(old) - 1))
    own = data.draw(st.integers(1, 255).filter(lambda byte: byte not in (*old[at : at + 1], *new[at : at + 1])))
    assert not files._torn(old[:at] + bytes([own]) + old[at + 1 :], old, new)


# One step at a time


def staged(path: Path, content: bytes) -> Entry:
    return files.stage(change(path, content), ident="01234567")


def kept(path: Path, content: bytes) -> Entry:
    return files.keep_old(staged(path, content), change(path, content))


def test_what_is_beside_a_file_at_the_root_is_named_as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_write", lambda *_, **__: None)
    entry = staged(Path("/haproxy.cfg"), b"new")
    assert entry.staged == "/.haproxy.cfg.ctemplate-01234567-new"
    assert entry.kept == "/.haproxy.cfg.ctemplate-01234567-old"


def test_a_staged_file_that_somebody_changes_is_not_swapped_in(tmp_path: Path) -> None:
    wanted = change(tmp_path / "a", b"new")
    entry = files.stage(wanted, ident="01234567")
    Path(entry.staged).write_bytes(b"evil")
    with pytest.raises(FileError, match="not what was written"):
        files.verify_staged(entry, wanted)


def test_a_file_that_appears_where_there_was_none_is_not_written_over(tmp_path: Path) -> None:
    wanted = change(tmp_path / "a", b"new")
    entry = files.stage(wanted, ident="01234567")
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(FileError, match="changed by somebody else"):
        files.keep_old(entry, wanted)


def test_restoring_twice_is_restoring_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    entry = kept(tmp_path / "a", b"new")
    files.swap(entry)
    assert files.restore(entry) is Standing.NEW
    assert files.restore(entry) is Standing.OLD
    assert (tmp_path / "a").read_bytes() == b"old"


def test_restoring_what_was_never_swapped_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    entry = kept(tmp_path / "a", b"new")
    assert files.restore(entry) is Standing.OLD
    files.discard(entry)
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_only_our_own_names_beside_a_destination_are_leftovers(tmp_path: Path) -> None:
    mine = [".a.conf.ctemplate-0a1b2c3d-new", ".a.conf.ctemplate-0a1b2c3d-old", ".a.conf.ctemplate-0a1b2c3d-bak"]
    others = [
        "a.conf",
        ".a.conf.swp",
        ".a.conf.ctemplate-0a1b2c3d-kept",
        ".b.conf.ctemplate-0a1b2c3d-new",
        ".a.conf.ctemplate-new",
        ".x.a.conf.ctemplate-0a1b2c3d-new",
    ]
    for name in (*mine, *others):
        (tmp_path / name).touch()
    assert [path.name for path in files.leftovers(tmp_path / "a.conf")] == sorted(mine)
