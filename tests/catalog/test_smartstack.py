"""The SmartStack catalog on real directories and the kernel's own watches."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from contextlib import aclosing

import pytest

from ctemplate.catalog import directories
from ctemplate.catalog.registry import open_catalog
from ctemplate.catalog.smartstack import SmartStackCatalog
from ctemplate.errors import ConfigError, Refused, Unavailable
from ctemplate.model import Answer, Instance, Kind, Query, ServiceName
from ctemplate.settings import CatalogSource, Consul

DEADLINE = 10.0
WEB = Query(kind=Kind.SERVICE, name="web")
LISTING = Query(kind=Kind.SERVICES)


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch):
    monkeypatch.setattr(directories, "CALM_SECONDS", 0.02)


@pytest.fixture
def directory(tmp_path):
    """A directory as synapse leaves it, with a service that nobody asks for."""
    write(tmp_path / "other.json", [])
    return tmp_path


def write(path, backends):
    """As synapse does: a hidden file, then a rename."""
    part = path.with_name(f".{path.name}.tmp")
    part.write_text(backends if isinstance(backends, str) else json.dumps(backends))
    part.rename(path)


def backend(port, **fields):
    return {"name": f"n{port}", "host": "10.0.0.1", "port": port, **fields}


def read(directory, query=WEB):
    return asyncio.run(SmartStackCatalog(directory, emit=lambda event: None).confirm(query))


def ports(answer):
    return [instance.port for instance in answer.value]


def watched(directory, scenario, query=WEB):
    """Run `scenario(until)`, where `until(value)` waits for an answer of which `ports`, or the names, are `value`."""

    async def main():
        catalog = SmartStackCatalog(directory, emit=lambda event: None)
        try:
            async with aclosing(catalog.watch(query)) as answers:

                async def until(value):
                    async for answer in answers:
                        found = [record.name for record in answer.value] if query is LISTING else ports(answer)
                        if found == value:
                            return answer
                    raise AssertionError("the watch ended")

                await asyncio.wait_for(scenario(until), DEADLINE)
        finally:
            await catalog.aclose()

    asyncio.run(main())


def test_a_record_is_an_instance_with_its_labels_as_meta(directory):
    options = "backup"
    record = backend(80, id=7, weight=3, haproxy_server_options=options, labels={"az": "a"}, enabled=True)
    write(directory / "web.json", [record])
    meta = {"az": "a", "haproxy_server_options": "backup"}
    assert read(directory).value == (
        Instance(id="7", name="web", address="10.0.0.1", port=80, node="n80", weight=3, meta=meta),
    )


def test_what_is_null_or_not_there_has_a_default(directory):
    nothing = {"name": None, "id": None, "weight": None, "haproxy_server_options": None, "labels": None}
    write(directory / "web.json", [{"host": "a.example", "port": 80, **nothing}])
    assert read(directory).value == (Instance(id="a.example:80", name="web", address="a.example", port=80),)


def test_instances_are_sorted_by_node_then_id_and_a_double_registration_is_one(directory):
    write(directory / "web.json", [backend(9, id=1), backend(8, id=2), backend(9, id=3), backend(7, name="n8", id=1)])
    assert [(i.node, i.id, i.port) for i in read(directory).value] == [("n8", "1", 7), ("n8", "2", 8), ("n9", "3", 9)]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (backend(80, host="unix:/x"), "address is neither"),
        (backend(99999), "port is outside"),
        (backend(80, weight=-1), "weight is outside"),
        (backend(80, labels={"a": 1}), r"Expected `str`, got `int` - at `\$.labels"),
        ({"host": "10.0.0.1"}, "missing required field `port`"),
        ("10.0.0.1:80", "Expected `object`"),
    ],
)
def test_a_bad_record_is_left_out_and_the_others_stay(directory, record, reason):
    write(directory / "web.json", [record, backend(81)])
    answer = read(directory)
    assert ports(answer) == [81]
    [bad] = answer.bad
    assert (bad.name, bad.id) == ("web", "web[0]")
    assert re.search(reason, bad.reason)


@pytest.mark.parametrize("text", ["", "[{", "{}", '[{"host": "10.0.0.1", "port": 80}', "\x00"])
def test_a_broken_file_is_not_an_empty_service(directory, text):
    write(directory / "web.json", text)
    with pytest.raises(Unavailable, match=r"web\.json: is not a JSON list.* the last good answer is kept"):
        read(directory)


def test_a_service_whose_file_vanished_is_empty_while_others_are_there(directory):
    assert read(directory) == Answer(())


def test_a_directory_without_any_service_file_says_nothing(tmp_path):
    (tmp_path / ".web.json.tmp").write_text("[]")
    with pytest.raises(Unavailable, match="holds no service file"):
        read(tmp_path)


def test_a_directory_that_is_not_there_says_nothing(tmp_path):
    for query in (WEB, LISTING):
        with pytest.raises(Unavailable, match="cannot be listed: No such file"):
            read(tmp_path / "none", query)


def test_a_directory_that_cannot_be_read_says_nothing(directory):
    for query in (WEB, LISTING):
        with pytest.raises(Unavailable, match="cannot be listed: Not a directory"):
            read(directory / "other.json", query)


def test_the_listing_names_every_file(directory):
    write(directory / "web.json", [])
    write(directory / "api.json", "broken")
    assert read(directory, LISTING).value == (ServiceName("api"), ServiceName("other"), ServiceName("web"))


@pytest.mark.parametrize(
    "query",
    [
        Query(kind=Kind.KEY, name="a"), Query(kind=Kind.NODES), Query(kind=Kind.SERVICE, name="web", dc="x"),
        Query(kind=Kind.SERVICE, name="web", near="x"), Query(kind=Kind.SERVICE, name="web", filter="x"),
        Query(kind=Kind.SERVICE, name="../web"), Query(kind=Kind.SERVICE, name="/etc/web"),
    ],
)  # fmt: skip
def test_what_the_directory_cannot_say_is_refused(directory, query):
    with pytest.raises(Refused):
        read(directory, query)


def test_a_watch_follows_changes_and_the_end_of_a_file(directory):
    path = directory / "web.json"

    async def story(until):
        await until([])
        write(path, [backend(80)])
        await until([80])
        write(path, [backend(80), backend(81)])
        await until([80, 81])
        path.unlink()
        await until([])
        write(path, [backend(82)])
        await until([82])

    watched(directory, story)


def test_a_file_that_breaks_ends_the_watch_with_its_fault_and_no_answer(directory):
    path = directory / "web.json"
    write(path, [backend(80)])

    async def story(until):
        await until([80])
        write(path, "[")
        with pytest.raises(Unavailable):
            await until([])

    watched(directory, story)


def test_a_directory_that_goes_away_is_a_fault_and_no_answer(directory):
    inner = directory / "inner"
    inner.mkdir()
    write(inner / "web.json", [backend(80)])

    async def story(until):
        await until([80])
        shutil.rmtree(inner)
        with pytest.raises(Unavailable):
            await until([])

    watched(inner, story)


def test_the_listing_follows_files_that_come_and_go(directory):
    async def story(until):
        await until(["other"])
        write(directory / "web.json", [])
        await until(["other", "web"])
        (directory / "other.json").unlink()
        await until(["web"])

    watched(directory, story, LISTING)


def test_a_url_opens_it_and_takes_no_options(tmp_path):
    def open_url(url, **options):
        return open_catalog(CatalogSource(name="east", url=url, options=options), Consul(), emit=lambda event: None)

    assert open_url(f"smartstack://{tmp_path}").describe() == f"smartstack:{tmp_path}"
    with pytest.raises(ConfigError, match="names no directory"):
        open_url("smartstack:")
    with pytest.raises(ConfigError, match="takes nothing but its url"):
        open_url("smartstack:x", layout="nerve")
