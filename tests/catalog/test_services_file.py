"""The file catalog: what a file says, how it is followed, and that a fault never becomes an empty answer."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing
from pathlib import Path

import jsonschema
import pytest

from ctemplate.catalog import directories
from ctemplate.catalog.documents import PARSERS, Fault, parse
from ctemplate.catalog.service_file import shape
from ctemplate.catalog.services import FileCatalog
from ctemplate.errors import ConfigError, Refused, Unavailable
from ctemplate.model import Instance, KeyValue, Kind, Node, NodeServices, Query, ServiceName

DEADLINE = 10.0
DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "services.schema.json").read_text())
EXAMPLES = dict(re.findall(r"```(yaml|toml)\n(.*?)```", (DOCS / "file-catalog.md").read_text(), re.DOTALL))
GOOD = "services: {web: [{address: 10.0.0.1, port: 80}]}\n"


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch):
    """Nothing here is about the pace, and 200 ms a change add up."""
    monkeypatch.setattr(directories, "CALM_SECONDS", 0.02)


def said(text, suffix=".yaml"):
    return shape(parse(text, suffix=suffix))


def fault(text, suffix=".yaml"):
    with pytest.raises(Fault) as caught:
        said(text, suffix)
    return str(caught.value)


def with_catalog(path, scenario):
    async def main():
        catalog = FileCatalog(path, emit=lambda event: pytest.fail(event.text()))
        try:
            return await asyncio.wait_for(scenario(catalog), 3 * DEADLINE)
        finally:
            await catalog.aclose()

    return asyncio.run(main())


def ask(path, kind, name="", **options):
    return with_catalog(path, lambda catalog: catalog.confirm(Query(kind=kind, name=name, **options)))


async def following(watch):
    return (await asyncio.wait_for(anext(watch), DEADLINE)).value


async def until(watch, wanted):
    async with asyncio.timeout(DEADLINE):
        async for answer in watch:
            if wanted(answer.value):
                return
    raise AssertionError("the watch ended")


def ports(value):
    return [instance.port for instance in value]


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "services.yaml"
    path.write_text(EXAMPLES["yaml"])
    return path


# What a file says


def test_the_documented_example_is_the_same_in_every_format():
    plain = parse(EXAMPLES["yaml"], suffix=".yaml")
    assert said(EXAMPLES["toml"], ".toml") == said(EXAMPLES["yaml"]) == said(json.dumps(plain), ".json")


@pytest.mark.parametrize("format_", ["yaml", "toml"])
def test_the_documented_example_is_valid_by_the_schema(format_):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(parse(EXAMPLES[format_], suffix=f".{format_}"), SCHEMA)


def test_a_service_is_its_instances_with_every_field_sorted_by_node_then_id(example):
    answer = ask(example, Kind.SERVICE, "web")
    assert answer.bad == ()
    assert answer.value == (
        Instance(
            id="web-10.0.0.11-8080",
            name="web",
            address="10.0.0.11",
            port=8080,
            node="rack-a",
            node_address="10.0.0.1",
            tags=("primary", "v2"),
            meta={"version": "1.10"},
            weight=5,
            dc="dc1",
        ),
        Instance(
            id="web-on-b",
            name="web",
            address="10.0.0.2",
            port=8080,
            node="rack-b",
            node_address="10.0.0.2",
            tags=("v2",),
            dc="dc1",
        ),
    )


def test_instances_of_every_status_are_answered(example):
    statuses = {instance.address: instance.status for instance in ask(example, Kind.SERVICE, "api").value}
    assert statuses == {"2001:db8::21": "passing", "api-2.internal": "critical"}


def test_the_order_of_the_file_does_not_matter():
    one = "{services: {w: [{id: b, address: h}, {id: a, address: h}, {id: c, node: m, address: h}]}}"
    other = "{services: {w: [{id: c, node: m, address: h}, {id: a, address: h}, {id: b, address: h}]}}"
    assert said(one) == said(other)
    assert [instance.id for instance in said(one).services["w"]] == ["a", "b", "c"]


def test_services_are_listed_with_the_tags_of_all_their_instances(example):
    assert ask(example, Kind.SERVICES).value == (ServiceName("api"), ServiceName("web", ("primary", "v2")))


def test_a_service_without_instances_is_not_listed_and_is_known_to_be_empty(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("services: {web: []}")
    assert ask(path, Kind.SERVICES).value == ()
    assert ask(path, Kind.SERVICE, "web").value == ()
    assert ask(path, Kind.SERVICE, "nobody").value == ()


def test_nodes_are_listed_by_name(example):
    assert ask(example, Kind.NODES).value == (
        Node(name="rack-a", address="10.0.0.1", dc="dc1"),
        Node(name="rack-b", address="10.0.0.2", meta={"zone": "north"}, dc="dc1"),
    )


def test_a_node_has_its_instances(example):
    value = ask(example, Kind.NODE, "rack-b").value
    assert isinstance(value, NodeServices)
    assert (value.node.address, [instance.id for instance in value.services]) == ("10.0.0.2", ["web-on-b"])
    assert ask(example, Kind.NODE, "rack-c").value is None


def test_the_datacenter_is_the_files_own_or_local(example, tmp_path):
    assert ask(example, Kind.DATACENTERS).value == ("dc1",)
    (tmp_path / "other.yaml").write_text(GOOD)
    assert ask(tmp_path / "other.yaml", Kind.DATACENTERS).value == ("local",)


def test_keys_are_found_by_path_however_they_are_nested(example):
    assert ask(example, Kind.KEY, "limits/burst").value == "20"
    assert ask(example, Kind.KEY, "site/title").value == "Example"
    assert ask(example, Kind.KEY, "limits").value is None
    assert ask(example, Kind.KEYS, "limits").value == (KeyValue("burst", "20"), KeyValue("rate", "10r/s"))
    assert ask(example, Kind.KEYS, "limits/").value == ask(example, Kind.KEYS, "limits").value
    assert ask(example, Kind.KEYS, "lim").value == ()
    assert [key.path for key in ask(example, Kind.KEYS).value] == ["limits/burst", "limits/rate", "site/title"]


def test_the_own_datacenter_may_be_named(example):
    assert ask(example, Kind.SERVICE, "web", dc="dc1") == ask(example, Kind.SERVICE, "web")


@pytest.mark.parametrize("options", [{"dc": "dc2"}, {"near": "_agent"}, {"filter": "x == y"}])
def test_what_a_file_cannot_answer_is_refused_rather_than_empty(example, options):
    with pytest.raises(Refused, match=next(iter(options.values()))):
        ask(example, Kind.SERVICE, "web", **options)


def test_a_text_is_refused(example):
    with pytest.raises(Refused):
        ask(example, Kind.TEXT, "/etc/hosts")


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("written", ["1.10", "20", "-3", "true", "1e3"])
def test_numbers_and_booleans_are_text_as_they_are_written(suffix, written):
    assert said(f'{{"keys": {{"k": {written}}}}}', suffix).keys == {"k": written}


@pytest.mark.parametrize(
    "written", ["no", "on", "010", "0x1F", "22:30", "2026-01-01", "1_000", "-0", "1.0", ".5", "=", "9" * 5000]
)
def test_yaml_rewrites_nothing(written):
    assert said(f"keys: {{k: {written}}}").keys == {"k": written}


def test_yaml_anchors_and_merge_keys_work():
    file = said(
        "services:\n  web:\n  - &first {address: 10.0.0.1, port: 80, tags: [a]}\n  - {<<: *first, address: 10.0.0.2}\n"
    )
    assert [(i.address, i.port, i.tags) for i in file.services["web"]] == [
        ("10.0.0.1", 80, ("a",)),
        ("10.0.0.2", 80, ("a",)),
    ]


# Records that are left out


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ("{address: '127.1', port: 80}", "address"),
        ("{address: 'unix:/run/app.sock'}", "address"),
        ("{address: 0x7f000001}", "address"),
        ("{address: [10.0.0.1]}", "address"),
        ("{port: 80}", "address"),
        ("{address: 10.0.0.9, port: 65536}", "port"),
        ("{address: 10.0.0.9, port: '80'}", "port"),
        ("{address: 10.0.0.9, port: null}", "port"),
    ],
)
def test_an_instance_that_cannot_be_one_is_left_out_alone_and_named_without_its_value(tmp_path, entry, word):
    path = tmp_path / "s.yaml"
    path.write_text(f"services: {{web: [{{address: 10.0.0.1, port: 80}}, {entry}], api: [{{address: h}}]}}")
    answer = ask(path, Kind.SERVICE, "web")
    assert [instance.address for instance in answer.value] == ["10.0.0.1"]
    (record,) = answer.bad
    assert (record.name, record.id) == ("web", "services.web[1]")
    assert word in record.reason
    assert not any(value in record.reason for value in ("127.1", "unix:", "0x7f", "65536", "10.0.0.9"))
    assert ask(path, Kind.SERVICE, "api").bad == ()


def test_a_bad_instance_is_named_by_its_node_and_id_where_it_has_them():
    file = said("services: {web: [{id: web-1, node: a, address: '127.1'}]}")
    (record,) = file.bad
    assert (record.node, record.id) == ("a", "web-1")


def test_a_node_that_cannot_be_one_is_left_out_and_so_is_what_leans_on_it(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("{nodes: {a: {address: '127.1'}, b: {address: h}}, services: {web: [{node: a}, {node: b}]}}")
    answer = ask(path, Kind.NODES)
    assert [node.name for node in answer.value] == ["b"]
    assert [record.node for record in answer.bad] == ["a"]
    assert [record.node for record in ask(path, Kind.SERVICE, "web").bad] == ["a"]


# Files that are wrong as a whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["the file", "nothing"]),
        ("# all gone", ["the file", "nothing"]),
        ("{}", ["none of `services`"]),
        ("[1]", ["the file", "a list"]),
        ("datacenter: dc1", ["none of `services`"]),
        ("service: {}", ["unknown key 'service'", "did you mean 'services'"]),
        ("services:", ["services", "nothing"]),
        ("services: [web]", ["services", "a list"]),
        ("services: {web: {address: h}}", ["services.web", "expected a list"]),
        ("services: {web: [h]}", ["services.web[0]", "found text"]),
        ("services: {web: [{address: h, prot: 80}]}", ["services.web[0]", "'prot'", "did you mean 'port'"]),
        ("services: {web: [{address: h, x: 80}]}", ["'x'", "known are id, address"]),
        ("services: {web: [{address: h, status: pasing}]}", ["services.web[0].status", "did you mean 'passing'"]),
        ("services: {web: [{address: h, weight: 0}]}", ["services.web[0].weight", "1 to 65535"]),
        ("services: {web: [{address: h, weight: true}]}", ["services.web[0].weight"]),
        ("services: {web: [{address: h, tags: v2}]}", ["services.web[0].tags", "expected a list"]),
        ("services: {web: [{address: h, tags: [[]]}]}", ["services.web[0].tags[0]"]),
        ("services: {web: [{address: h, meta: {a: null}}]}", ["services.web[0].meta.a", "nothing", "quotes"]),
        ("services: {web: [{address: h, id: ''}]}", ["services.web[0].id", "empty"]),
        ("services: {web: [{address: h}, {address: h}]}", ["services.web", "web-h-0", "`id`"]),
        ("services: {a: [{id: x, address: h}], b: [{id: x, address: h}]}", ["services.b", "'x'"]),
        ("services: {'': []}", ["services", "empty"]),
        ("services: {null: []}", ["services", "key"]),
        ("nodes: {a: {adress: h}}", ["nodes.a", "did you mean 'address'"]),
        ("keys: {a: [1]}", ["keys.a", "a list"]),
        ("keys: {a: {b: [1]}}", ["keys.a/b", "a list"]),
        ("keys: {a/: x}", ["keys", "'a/'"]),
        ("keys: {a/b: x, a: {b: y}}", ["'a/b'", "twice"]),
        ("keys: &k {a: *k}", ["levels"]),
        ("keys: &k {a: *k, b: *k}", ["levels"]),
        ("services: {web: []}\nservices: {api: []}", ["line 2, column 1", "'services'", "twice"]),
        ("services:\n  web: [\n", ["line 3, column 1"]),
        ("services: \t{}\n  x", ["line 2"]),
        ("keys: {a: !!python/name:os.system x}", ["line 1, column 11"]),
        ("keys: {a: !!int x}", ["x"]),
        ("keys: {? [a] : x}", ["line 1"]),
        ("a: b\n---\nc: d", ["line 2"]),
        ("keys: {a: \x01}", ["not allowed"]),
        ("[" * 100_000, ["line 1", "nest"]),
        ("- " * 100_000, ["line 1", "deeper than 100 levels"]),
    ],
)
def test_a_wrong_yaml_file_is_a_fault_that_says_where(text, words):
    said_fault = fault(text)
    assert all(word in said_fault for word in words), said_fault


@pytest.mark.parametrize(
    ("suffix", "text", "word"),
    [
        (".json", '{"services": {}', "line 1, column 16"),
        (".json", "", "line 1, column 1"),
        (".json", '{"services": {},\n "services": {"web": []}}', "'services' stands twice"),
        (".json", "[" * 100_000, "nested too deeply"),
        (".json", '{"keys": {"a": ' + "9" * 5000 + "}}", "digits"),
        (".toml", "[services]\nweb = [,", "line 2, column 8"),
        (".toml", "", "none of `services`"),
        (".toml", "[keys]\na = 2026-01-01", "keys.a"),
    ],
)
def test_a_wrong_json_or_toml_file_is_a_fault_that_says_where(suffix, text, word):
    assert word in fault(text, suffix)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "service: {}",
        "services: [web]",
        "services: {web: {address: h}}",
        "services: {web: [{address: h, prot: 80}]}",
        "services: {web: [{address: h, status: pasing}]}",
        "services: {web: [{address: h, weight: 0}]}",
        "services: {web: [{address: h, tags: v2}]}",
        "services: {web: [{address: h, tags: ['']}]}",
        "services: {web: [{address: h, meta: {a: null}}]}",
        "services: {web: [{address: h, id: ''}]}",
        "services: {'': []}",
        "nodes: {a: {adress: h}}",
        "nodes: {a: {meta: [x]}}",
        "keys: {a: [1]}",
        "keys: {a/: x}",
        "keys: {/a: x}",
        "datacenter: ''\nkeys: {}",
    ],
)
def test_what_the_loader_calls_a_fault_the_schema_calls_invalid(text):
    assert fault(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse(text, suffix=".yaml"), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "services: {}",
        "nodes: {}",
        "keys: {}",
        "services: {web: []}",
        "services: {web: [{address: null, node: a}]}\nnodes: {a: {address: h}}",
        "services: {web: [{address: '', node: ''}]}",
        "keys: {a: '', b: {c: 1, d: {}}}",
        "services: {web: [{address: h, id: 7, tags: [1, true]}]}",
        "nodes: {a: {}}",
    ],
)
def test_what_the_loader_takes_is_valid_by_the_schema(text):
    said(text)
    jsonschema.validate(parse(text, suffix=".yaml"), SCHEMA)


def test_a_name_without_a_known_suffix_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match=r"\.yaml, \.yml, \.json, \.toml"):
        FileCatalog(tmp_path / "services.txt", emit=print)


@pytest.mark.parametrize("suffix", PARSERS)
def test_every_known_suffix_is_read_in_any_case(tmp_path, suffix):
    path = tmp_path / f"services{suffix.upper()}"
    path.write_text(
        'services.web = [{address = "h"}]' if suffix == ".toml" else '{"services": {"web": [{"address": "h"}]}}'
    )
    assert ask(path, Kind.SERVICES).value == (ServiceName("web"),)


# Following the file


def test_a_replaced_file_is_followed(tmp_path):
    path = tmp_path / "services.yaml"
    path.write_text(GOOD)

    async def scenario(catalog):
        async with aclosing(catalog.watch(Query(kind=Kind.SERVICE, name="web"))) as watch:
            assert ports(await following(watch)) == [80]
            for port in (81, 82, 83):
                (tmp_path / "new").write_text(GOOD.replace("80", str(port)))
                (tmp_path / "new").rename(path)
                assert ports(await following(watch)) == [port]

    with_catalog(path, scenario)


def test_every_query_hears_of_its_own_change_only(tmp_path):
    path = tmp_path / "services.yaml"
    path.write_text("{services: {web: [{address: h}]}, keys: {a: '1'}}")

    async def scenario(catalog):
        web, key = (
            catalog.watch(Query(kind=kind, name=name)) for kind, name in ((Kind.SERVICE, "web"), (Kind.KEY, "a"))
        )
        async with aclosing(web), aclosing(key):
            await following(web)
            assert await following(key) == "1"
            silent = asyncio.ensure_future(following(web))
            for value in ("2", "3"):
                staged = path.with_name("staged")  # a file written in place is empty for a moment, which is a fault
                staged.write_text(f"{{services: {{web: [{{address: h}}]}}, keys: {{a: '{value}'}}}}")
                staged.replace(path)
                await until(key, lambda got, value=value: got == value)
            assert not silent.done()
            path.write_text("services: {web: []}")
            assert await silent == ()
            await until(key, lambda got: got is None)

    with_catalog(path, scenario)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("services: {web: [{address: h, prot: 80}]}"),
        lambda path: path.write_text("services: {web: ["),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.unlink(),
    ],
    ids=["unknown key", "syntax", "empty", "not UTF-8", "removed"],
)
def test_a_broken_file_is_unavailable_and_the_reopened_watch_answers_as_soon_as_it_is_mended(tmp_path, spoil):
    path = tmp_path / "services.yaml"
    path.write_text(GOOD)
    query = Query(kind=Kind.SERVICE, name="web")

    async def scenario(catalog):
        watch = catalog.watch(query)
        assert ports(await following(watch)) == [80]
        spoil(path)
        with pytest.raises(Unavailable) as caught:
            await following(watch)
        assert str(path) in str(caught.value)
        assert "last good answer is kept" in str(caught.value)
        with pytest.raises(Unavailable):
            await catalog.confirm(query)
        async with aclosing(catalog.watch(query)) as reopened:
            mended = asyncio.ensure_future(following(reopened))
            await asyncio.wait([mended], timeout=0.5)
            assert not mended.done()
            path.write_text(GOOD.replace("80", "81"))
            assert ports(await mended) == [81]

    with_catalog(path, scenario)


def test_every_open_query_hears_of_the_fault(tmp_path):
    path = tmp_path / "services.yaml"
    path.write_text(GOOD)

    async def scenario(catalog):
        watches = [catalog.watch(Query(kind=kind, name="web")) for kind in (Kind.SERVICE, Kind.SERVICES, Kind.KEY)]
        for watch in watches:
            await following(watch)
        path.write_text("services: [")
        for watch in watches:
            with pytest.raises(Unavailable, match="line 2, column 1"):
                await following(watch)

    with_catalog(path, scenario)


def test_confirming_reads_the_file_as_it_stands(tmp_path):
    path = tmp_path / "services.yaml"
    path.write_text(GOOD)

    async def scenario(catalog):
        query = Query(kind=Kind.SERVICE, name="web")
        assert ports((await catalog.confirm(query)).value) == [80]
        path.write_text(GOOD.replace("80", "81"))
        assert ports((await catalog.confirm(query)).value) == [81]

    with_catalog(path, scenario)


def test_a_relative_path_survives_a_change_of_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "services.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)

    async def scenario(catalog):
        monkeypatch.chdir("/")
        assert ports((await catalog.confirm(Query(kind=Kind.SERVICE, name="web"))).value) == [80]
        assert catalog.describe() == f"file:{tmp_path}/services.yaml"

    with_catalog(Path("services.yaml"), scenario)
