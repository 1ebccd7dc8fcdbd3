"""A journal is read for exactly what was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctemplate.changes import Command, OnFailure
from ctemplate.commit.files import Entry
from ctemplate.commit.journal import DamagedJournal, Journal, Journals, Phase

ENTRY = Entry(
    template="/etc/nginx/a.conf",
    destination="/etc/nginx/a.conf",
    staged="/etc/nginx/.a.conf.ctemplate-01234567-new",
    kept="/etc/nginx/.a.conf.ctemplate-01234567-old",
    old=None,
    new="ab" * 32,
    command=Command(("nginx", "-s", "reload"), timeout=7.5, on_failure=OnFailure.KEEP),
)
JOURNAL = Journal(
    group="nginx -s reload",
    phase=Phase.SWAP,
    entries=(ENTRY,),
    checks=(Command("nginx -t"),),
    commands=(Command(("nginx", "-s", "reload")),),
    directories=("/etc/nginx/new",),
    check_seconds=0.25,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journals = Journals(tmp_path / "journal")
    journals.prepare()
    journals.write(JOURNAL)
    assert [journals.load(path) for path in journals.paths()] == [JOURNAL]
    assert journals.path(JOURNAL.group).stat().st_mode & 0o777 == 0o600
    assert journals.directory.stat().st_mode & 0o777 == 0o700


def test_a_group_has_one_journal_and_groups_have_their_own(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    for group in ("a", "b", "a/../b", "a"):
        journals.write(Journal(group=group, phase=Phase.UNDO))
    assert sorted(journals.load(path).group for path in journals.paths()) == ["a", "a/../b", "b"]


def test_a_dropped_journal_is_gone_and_dropping_again_is_nothing(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(JOURNAL)
    journals.drop(JOURNAL.group)
    journals.drop(JOURNAL.group)
    assert journals.paths() == []


def test_a_half_written_journal_never_counted(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    (tmp_path / "0123456789abcdef.passing").write_bytes(b"ctemplate-journal 1")
    assert journals.paths() == []
    assert list(tmp_path.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_no_damage_goes_unnoticed(tmp_path: Path, data: st.DataObject) -> None:
    journals = Journals(tmp_path)
    journals.write(JOURNAL)
    path = journals.path(JOURNAL.group)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "zero"]))
    bit = data.draw(st.integers(0, 7))
    tails = {"flip": bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :], "cut": b"", "zero": b"\0" * (len(whole) - at)}
    path.write_bytes(whole[:at] + tails[kind])
    with pytest.raises(DamagedJournal):
        journals.load(path)


def test_a_journal_of_another_version_says_so(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    journals.write(JOURNAL)
    path = journals.path(JOURNAL.group)
    path.write_bytes(path.read_bytes().replace(b"ctemplate-journal 1 ", b"ctemplate-journal 2 ", 1))
    with pytest.raises(DamagedJournal, match="version 2"):
        journals.load(path)


def test_journals_that_are_set_aside_never_replace_each_other(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    kept = []
    for _ in range(3):
        journals.write(JOURNAL)
        kept.append(journals.set_aside(journals.path(JOURNAL.group)))
    assert len(set(kept)) == 3
    assert journals.paths() == []
    assert journals.any_set_aside()
