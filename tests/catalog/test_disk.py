"""The disk catalog on real files and the kernel's own watches."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import tempfile
import threading
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from ctemplate.catalog import directories, following, leading, watching
from ctemplate.catalog.disk import DiskCatalog
from ctemplate.errors import Refused, Unavailable
from ctemplate.model import DISK, Answer, Kind, Query

DEADLINE = 10.0
ADD = directories.Directories.add


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch):
    """Nothing here is about the pace, and 200 ms a change add up."""
    monkeypatch.setattr(directories, "CALM_SECONDS", 0.02)


def text(path):
    return Query(catalog=DISK, kind=Kind.TEXT, name=str(path))


def run(scenario):
    """Run `scenario(catalog)`, and see that nothing is told of."""
    assert telling(scenario) == []


def telling(scenario):
    """Return what is told while `scenario(catalog)` runs, which has a deadline and leaves no watch of the kernel's."""
    told = []

    async def main():
        catalog = DiskCatalog(emit=lambda event: told.append(event.text()))
        try:
            await asyncio.wait_for(scenario(catalog), 3 * DEADLINE)
        finally:
            await catalog.aclose()

    asyncio.run(main())
    assert kernel_watches() == 0
    return told


def kernel_watches():
    """How many objects of inotify this process holds."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found += os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:inotify"
    return found


async def in_time(watch):
    return (await asyncio.wait_for(anext(watch), DEADLINE)).value


async def until(watch, value):
    """Read answers until `value` comes: a half-written file may be seen before it."""
    async with asyncio.timeout(DEADLINE):
        async for answer in watch:
            if answer.value == value:
                return
    raise AssertionError("the watch ended")


async def armed(watch, path, *, before):
    """Change the file until the watch is known to stand: the first change may be found by the read after arming."""
    for number in range(2):
        path.write_text(f"{before}{number}")
        await until(watch, f"{before}{number}")


def replace(path, content):
    """Write a file as an editor does: a new one beside it, then a rename."""
    new = path.with_name(path.name + ".new")
    new.write_text(content)
    new.rename(path)


def test_the_first_answer_is_the_text_as_it_stands(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_bytes("ü {{ x }}\r\n".encode())

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "ü {{ x }}\r\n"
        assert (await catalog.confirm(text(path))).value == "ü {{ x }}\r\n"

    run(scenario)


@pytest.mark.parametrize("name", ["absent.txt", "absent/directory/a.txt", "file/a.txt"])
def test_a_file_that_does_not_exist_is_known_to_be_none(tmp_path, name):
    (tmp_path / "file").write_text("not a directory")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(tmp_path / name))) as watch:
            assert await in_time(watch) is None

    run(scenario)


def test_a_second_and_a_third_replacement_by_an_editor_are_seen(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_text("0")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            await armed(watch, path, before="in place ")
            for content in ("one", "two", "three"):
                replace(path, content)
                assert await in_time(watch) == content

    run(scenario)


def test_a_change_between_the_first_read_and_the_watch_is_not_lost(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_text("before")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "before"
            path.write_text("after")  # the thread is not up: it starts some time after the first subscription
            assert await in_time(watch) == "after"

    run(scenario)


def test_removing_a_file_is_an_answer_and_so_is_its_return(tmp_path):
    path = tmp_path / "a.ctmpl"

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            await armed(watch, path, before="x")
            path.unlink()
            assert await in_time(watch) is None
            path.write_text("again")
            await until(watch, "again")

    run(scenario)


def test_a_directory_that_is_removed_and_made_again_is_watched_again(tmp_path):
    path = tmp_path / "deep" / "directory" / "a.ctmpl"

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) is None
            for round_ in ("first", "second"):
                path.parent.mkdir(parents=True)
                path.write_text(round_)
                await until(watch, round_)
                path.write_text(round_ + " again")
                await until(watch, round_ + " again")
                shutil.rmtree(tmp_path / "deep")
                await until(watch, None)
            path.parent.mkdir(parents=True)
            path.write_text("third")
            await until(watch, "third")
            shutil.rmtree(path.parent)
            path.parent.mkdir()
            path.write_text("at once")
            await until(watch, "at once")
            path.write_text("and again")
            await until(watch, "and again")

    run(scenario)


def test_a_directory_that_another_takes_the_place_of_is_followed(tmp_path):
    path = tmp_path / "site" / "a.ctmpl"
    path.parent.mkdir()
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "a.ctmpl").write_text("next")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            await armed(watch, path, before="old")
            path.parent.rename(tmp_path / "old")
            (tmp_path / "next").rename(path.parent)
            await until(watch, "next")
            replace(path, "next again")
            await until(watch, "next again")

    run(scenario)


def test_a_config_map_that_swaps_its_data_link_is_followed(tmp_path):
    mounted = tmp_path / "mounted"
    mounted.mkdir()

    def publish(version, content):
        (mounted / f"..{version}").mkdir()
        (mounted / f"..{version}" / "a.ctmpl").write_text(content)
        (mounted / "..data_tmp").symlink_to(f"..{version}")
        (mounted / "..data_tmp").rename(mounted / "..data")

    publish("v1", "one")
    (mounted / "a.ctmpl").symlink_to("..data/a.ctmpl")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(mounted / "a.ctmpl"))) as watch:
            assert await in_time(watch) == "one"
            for version, content in (("v2", "two"), ("v3", "three"), ("v4", "four")):
                publish(version, content)
                await until(watch, content)
            (mounted / "..v4" / "a.ctmpl").write_text("in the target itself")
            await until(watch, "in the target itself")

    run(scenario)


def test_a_release_link_above_the_file_is_followed(tmp_path):
    for number in (1, 2):
        (tmp_path / f"release{number}" / "etc").mkdir(parents=True)
        (tmp_path / f"release{number}" / "etc" / "a.ctmpl").write_text(f"release {number}")
    (tmp_path / "current").symlink_to(tmp_path / "release1")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(tmp_path / "current" / "etc" / "a.ctmpl"))) as watch:
            assert await in_time(watch) == "release 1"
            (tmp_path / "release1" / "etc" / "a.ctmpl").write_text("release 1, watched")
            await until(watch, "release 1, watched")
            (tmp_path / "link").symlink_to(tmp_path / "release2")
            (tmp_path / "link").rename(tmp_path / "current")
            await until(watch, "release 2")

    run(scenario)


def test_a_change_that_the_kernel_does_not_tell_is_found_by_reading_again(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.5)
    monkeypatch.setattr(leading, "trail", lambda path, plain=None: (tmp_path / "elsewhere" / path.name,))
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "a.ctmpl"
    path.write_text("before")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "before"
            for content in ("once", "twice"):
                path.write_text(content)
                await until(watch, content)

    run(scenario)


def take(path, read, *, enough):
    """Follow a file until as many answers have come as are `enough`."""

    async def scenario():
        follower, answers = following.Follower(emit=pytest.fail), 0
        async with aclosing(follower.follow(text(path), path, read=read)) as watch:
            while not enough(answers):
                await in_time(watch)
                answers += 1
        follower.close()

    asyncio.run(scenario())


def test_a_file_that_nobody_touched_is_not_read_again_and_yet_known_to_be_current(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.2)
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 0)
    monkeypatch.setattr(following, "REPEAT_SECONDS", 0.3)
    path = tmp_path / "a.ctmpl"
    path.write_text("as it was")
    reads = []

    def read(query):
        reads.append(query)
        return Answer(path.read_text())

    async def scenario():
        follower = following.Follower(emit=pytest.fail)
        async with aclosing(follower.follow(text(path), path, read=read)) as watch:
            for _ in range(4):
                assert await in_time(watch) == "as it was"
            assert len(reads) == 1
            path.chmod(0o600)
            while len(reads) < 2:
                assert await in_time(watch) == "as it was"
        follower.close()

    asyncio.run(scenario())


def test_of_a_text_that_nobody_touched_nothing_is_heard_and_a_change_that_is_not_told_is(tmp_path, monkeypatch):
    """Else five hundred templates were woken each minute for nothing."""
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.1)
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 0)
    monkeypatch.setattr(following, "REPEAT_SECONDS", 0.0)
    path = tmp_path / "a.ctmpl"
    path.write_text("as it was")
    woken, changed = [], watching.Subscription.changed

    async def counted(self):
        found = await changed(self)
        woken.append(found)
        return found

    monkeypatch.setattr(watching.Subscription, "changed", counted)

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "as it was"
            more = asyncio.create_task(anext(watch))
            await asyncio.sleep(watching.ARM_DELAY_SECONDS + 1)
            assert not woken
            path.write_text("as it is")
            assert (await asyncio.wait_for(more, 10)).value == "as it is"
            assert woken

    run(scenario)


def test_a_file_of_the_kernel_is_read_again_although_its_stamp_never_changes(monkeypatch):
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.3)

    async def scenario(catalog):
        async with aclosing(catalog.watch(text("/proc/uptime"))) as watch:
            assert len({await in_time(watch) for _ in range(3)}) == 3

    run(scenario)


def test_a_file_that_was_written_a_moment_ago_is_read_again_once_it_is_older(tmp_path, monkeypatch):
    """Where times count in whole seconds, a second writing within one of them leaves the stamp as it was."""
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.2)
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 500_000_000)
    monkeypatch.setattr(following, "REPEAT_SECONDS", 0.1)
    path = tmp_path / "a.ctmpl"
    path.write_text("as it was")
    reads = []

    def read(query):
        reads.append(time.time_ns() - path.stat().st_ctime_ns > leading.TICK_NANOSECONDS)
        return Answer("as it was")

    take(path, read, enough=lambda answers: answers == 8)
    assert reads[0] is False
    assert reads.count(True) == 1


def test_what_was_written_just_before_the_start_is_read_again_as_soon_as_its_time_tells(tmp_path, monkeypatch):
    """Not a minute later: where no events come, as on NFS, a second writing may have left the stamp as it was."""
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 1_500_000_000)
    path = tmp_path / "a.ctmpl"
    path.write_text("as it was")
    reads = []

    def read(query):
        reads.append(time.time_ns() - path.stat().st_ctime_ns > leading.TICK_NANOSECONDS)
        return Answer(str(len(reads)))

    take(path, read, enough=lambda _: any(reads))


def test_what_never_tells_by_its_stamp_has_nothing_armed_anew_while_others_are_written(tmp_path, monkeypatch):
    """An empty file has no blocks, as those that the kernel makes up."""
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 500_000_000)
    armings = []
    monkeypatch.setattr(directories.Directories, "add", lambda self, paths: armings.append(paths) or ADD(self, paths))
    path = tmp_path / "a.ctmpl"
    path.touch()

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == ""
            until = time.monotonic() + watching.ARM_DELAY_SECONDS + 3
            while time.monotonic() < until:
                (tmp_path / "another").write_text("again")
                await asyncio.sleep(0.1)

    run(scenario)
    assert len(armings) == 1


def test_what_a_look_in_passing_finds_standing_still_is_not_waited_for(tmp_path, monkeypatch):
    """Five hundred templates that are looked at together would each be stamped three times for one read."""
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.2)
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 500_000_000)
    monkeypatch.setattr(following, "REPEAT_SECONDS", 0.1)
    path = tmp_path / "a.ctmpl"
    path.write_text("as it was")
    reads, stamps = [], []

    def read(query):
        reads.append(query)
        return Answer("as it was")

    def stamp(path):
        stamps.append(path)
        return leading.stamp(path)

    monkeypatch.setattr(following, "stamp", stamp)

    take(path, read, enough=lambda answers: answers == 4)
    assert (len(reads), len(stamps)) == (2, 2)


def test_a_way_that_leads_out_now_is_refused_although_the_file_is_the_same(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "d").mkdir(parents=True)
    (inside / "d" / "a.ctmpl").write_text("the same file all along")
    query = Query(catalog=DISK, kind=Kind.TEXT, name=str(inside / "d" / "a.ctmpl"), filter=str(inside))

    async def scenario(catalog):
        async with aclosing(catalog.watch(query)) as watch:
            assert await in_time(watch) == "the same file all along"
            await asyncio.sleep(watching.ARM_DELAY_SECONDS + 0.3)
            (inside / "d").rename(outside)
            (inside / "d").symlink_to(outside)
            with pytest.raises(Refused, match="leads out"):
                while True:
                    await in_time(watch)

    run(scenario)


def test_a_file_that_could_not_be_read_is_tried_again_although_it_has_not_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "REREAD_SECONDS", 0.2)
    path = tmp_path / "a.ctmpl"
    path.write_text("as it was")
    faults = [Unavailable("the network file system is away")] * 3

    def read(query):
        if faults:
            raise faults.pop()
        return Answer(path.read_text())

    async def scenario():
        follower = following.Follower(emit=pytest.fail)
        with pytest.raises(Unavailable):
            await in_time(follower.follow(text(path), path, read=read))
        async with aclosing(follower.follow(text(path), path, read=read)) as watch:
            assert await in_time(watch) == "as it was"
        follower.close()

    asyncio.run(scenario())


def test_many_watches_of_one_file_and_of_its_neighbours_each_get_their_answer(tmp_path):
    paths = [tmp_path / f"{number}.ctmpl" for number in range(20)]
    for path in paths:
        path.write_text("old")

    async def scenario(catalog):
        watches = [catalog.watch(text(path)) for path in (*paths, paths[0])]
        assert [await in_time(watch) for watch in watches] == ["old"] * 21
        pending = [asyncio.ensure_future(in_time(watch)) for watch in watches]
        for path in paths:
            replace(path, "new")
        assert await asyncio.gather(*pending) == ["new"] * 21
        for watch in watches:
            await watch.aclose()

    run(scenario)


def test_a_new_path_is_watched_beside_those_that_are(tmp_path):
    first, second = tmp_path / "first.ctmpl", tmp_path / "other" / "second.ctmpl"
    second.parent.mkdir()

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(first))) as one:
            await armed(one, first, before="first")
            async with aclosing(catalog.watch(text(second))) as two:
                await armed(two, second, before="second")
                replace(first, "first still")
                await until(one, "first still")
            replace(first, "first alone")
            await until(one, "first alone")

    run(scenario)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.write_bytes(b"caf\xe9"), "UTF-8"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
    ],
    ids=["latin-1", "directory", "pipe", "link to itself"],
)
def test_what_is_not_a_text_is_unavailable_and_says_what_is_kept(tmp_path, make, word):
    path = tmp_path / "a.ctmpl"
    make(path)

    async def scenario(catalog):
        with pytest.raises(Unavailable, match=word) as caught:
            await in_time(catalog.watch(text(path)))
        assert str(path) in str(caught.value)
        assert "last text is kept" in str(caught.value)
        with pytest.raises(Unavailable, match=word):
            await catalog.confirm(text(path))

    run(scenario)


def test_a_fault_is_raised_once_and_the_reopened_watch_waits_for_the_file(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_text("good")

    async def scenario(catalog):
        watch = catalog.watch(text(path))
        await armed(watch, path, before="good")
        path.write_bytes(b"\xff")
        with pytest.raises(Unavailable):
            await in_time(watch)
        async with aclosing(catalog.watch(text(path))) as reopened:
            mended = asyncio.ensure_future(in_time(reopened))
            await asyncio.wait([mended], timeout=1.0)
            assert not mended.done()
            path.write_text("mended")
            assert await mended == "mended"
            path.write_bytes(b"\xff")
            with pytest.raises(Unavailable):
                await in_time(reopened)

    run(scenario)


def test_another_fault_is_raised_by_the_reopened_watch(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_bytes(b"\xff")

    async def scenario(catalog):
        with pytest.raises(Unavailable, match="UTF-8"):
            await in_time(catalog.watch(text(path)))
        path.unlink()
        path.mkdir()
        with pytest.raises(Unavailable, match="not a regular file"):
            await in_time(catalog.watch(text(path)))

    run(scenario)


def test_a_watch_given_up_on_a_known_fault_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.ctmpl"
    path.write_bytes(b"\xff")

    async def scenario(catalog):
        with pytest.raises(Unavailable):
            await in_time(catalog.watch(text(path)))
        waiting = asyncio.ensure_future(in_time(catalog.watch(text(path))))
        await asyncio.wait([waiting], timeout=0.2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(Unavailable):
            await in_time(catalog.watch(text(path)))

    run(scenario)


def test_cancelling_the_last_watch_gives_the_kernel_its_watch_back(tmp_path):
    path = tmp_path / "a.ctmpl"

    async def scenario(catalog):
        watch = catalog.watch(text(path))
        await armed(watch, path, before="x")
        assert kernel_watches() == 1
        waiting = asyncio.ensure_future(in_time(watch))
        await asyncio.wait([waiting], timeout=0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0.1)
        assert kernel_watches() == 0

    run(scenario)


def test_where_the_kernel_gives_no_watches_files_are_read_now_and_then_until_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.2)
    refusals = [OSError(errno.ENOSPC, "No space left on device")] * 4

    def add(self, paths):
        if refusals:
            raise refusals.pop()
        ADD(self, paths)

    monkeypatch.setattr(directories.Directories, "add", add)
    path = tmp_path / "a.ctmpl"
    path.write_text("0")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "0"
            while refusals:
                path.write_text(f"{len(refusals)} more to come, {time.time()}")
                await in_time(watch)
            await armed(watch, path, before="watched")

    told = telling(scenario)
    assert "No space left on device" in told[0]
    assert "read again every 0.2 s" in told[0]
    assert told[1:] == ["files are watched again"]


def test_a_directory_that_may_be_passed_and_not_read_costs_its_neighbours_nothing(monkeypatch):
    """Without permission to read it the kernel gives no watch, and yet files in it are read by their names."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 60.0)
    nobody = 65534

    async def scenario(catalog):
        async with (
            aclosing(catalog.watch(text(closed / "a.ctmpl"))) as one,
            aclosing(catalog.watch(text(opened / "b.ctmpl"))) as two,
        ):
            assert (await in_time(one), await in_time(two)) == ("a", "b")
            await asyncio.sleep(watching.ARM_DELAY_SECONDS + 0.5)
            (opened / "b.ctmpl").write_text("changed")
            await until(two, "changed")

    with tempfile.TemporaryDirectory() as made:
        closed, opened = Path(made) / "closed", Path(made) / "opened"
        for directory, name in ((closed, "a"), (opened, "b")):
            directory.mkdir()
            (directory / f"{name}.ctmpl").write_text(name)
        if os.geteuid() == 0:
            for path in (*opened.iterdir(), *closed.iterdir(), closed, opened, Path(made)):
                os.chown(path, nobody, -1)
            os.seteuid(nobody)
        try:
            closed.chmod(0o311)
            run(scenario)
            closed.chmod(0o700)
        finally:
            os.seteuid(os.getuid())


def test_a_thread_that_cannot_be_had_now_and_then_ends_no_watch(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.1)
    faults, ask = [RuntimeError("can't start new thread")] * 4, watching._Lookout._ask

    async def at_last(self, *question):
        if faults:
            raise faults.pop()
        return await ask(self, *question)

    monkeypatch.setattr(watching._Lookout, "_ask", at_last)
    path = tmp_path / "a.ctmpl"
    path.write_text("0")

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "0"
            await armed(watch, path, before="x")

    told = telling(scenario)
    assert "limits" not in told[0]
    assert "can't start new thread" in told[0]
    assert told[1:] == ["files are watched again"]


def test_a_file_system_that_hangs_takes_no_thread_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "ARM_DELAY_SECONDS", 0.0)
    hangs, trails = threading.Event(), leading.trails
    monkeypatch.setattr(leading, "trails", lambda paths: hangs.wait(DEADLINE) and trails(paths))

    async def scenario():
        watcher = watching.FileWatcher(emit=pytest.fail)
        for number in range(40):
            with watcher.subscribe(tmp_path / str(number)):
                await asyncio.sleep(0.01)
        await asyncio.wait_for(asyncio.to_thread(int), DEADLINE / 2)

    try:
        asyncio.run(scenario())
    finally:
        hangs.set()


def test_a_link_that_is_moved_while_the_watch_is_armed_is_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 0)  # or it is looked at once more, as all that is young
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.ctmpl").write_text(name)
    link, path = tmp_path / "current", tmp_path / "current" / "x.ctmpl"
    link.symlink_to("a")
    moves = ["b"]

    def add(self, paths):
        if moves:
            (tmp_path / "next").symlink_to(moves.pop())
            (tmp_path / "next").rename(link)
        ADD(self, paths)

    monkeypatch.setattr(directories.Directories, "add", add)

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            assert await in_time(watch) == "a"
            await until(watch, "b")
            await asyncio.sleep(0.5)
            (tmp_path / "b" / "x.ctmpl").write_text("changed")
            await until(watch, "changed")

    run(scenario)


def test_a_directory_that_somebody_stands_in_is_watched_again_when_it_is_made_again(tmp_path, monkeypatch):
    """The kernel does not tell that it is gone while it is in use."""
    monkeypatch.setattr(leading, "TICK_NANOSECONDS", 0)  # or it is looked at once more, as all that is young
    path = tmp_path / "directory" / "a.ctmpl"
    path.parent.mkdir()

    async def scenario(catalog):
        async with aclosing(catalog.watch(text(path))) as watch:
            await armed(watch, path, before="x")
            standing = os.open(path.parent, os.O_RDONLY)
            try:
                shutil.rmtree(path.parent)
                path.parent.mkdir()
                path.write_text("again")
                await until(watch, "again")
                await asyncio.sleep(0.5)
                path.write_text("changed")
                await until(watch, "changed")
            finally:
                os.close(standing)

    run(scenario)


def test_closing_the_catalog_ends_its_watches(tmp_path):
    async def scenario(catalog):
        watch = catalog.watch(text(tmp_path / "a.ctmpl"))
        assert await in_time(watch) is None
        waiting = asyncio.ensure_future(in_time(watch))
        await asyncio.wait([waiting], timeout=0.1)
        await catalog.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting

    run(scenario)


@pytest.mark.parametrize(
    "query",
    [
        Query(catalog=DISK, kind=Kind.SERVICE, name="/etc/hosts"),
        Query(catalog=DISK, kind=Kind.TEXT, name="hosts"),
    ],
)
def test_anything_but_the_text_of_an_absolute_path_is_refused(query):
    async def scenario(catalog):
        with pytest.raises(Refused):
            await in_time(catalog.watch(query))

    run(scenario)
