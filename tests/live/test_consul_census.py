"""Thousands of services by few connections, against a real agent: which poll wakes for which change, and that nothing,
whatever changes in whatever order, is ever missed.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import asynccontextmanager

import pytest

from ctemplate.catalog.consul import arranging, blocking, census, loading, records, sentinels, sweeping
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.catalog.consul.questions import NOWHERE
from ctemplate.catalog.hub import Hub
from ctemplate.catalog.registry import open_catalog
from ctemplate.model import Answer, KeyValue, Kind, Query
from ctemplate.settings import CatalogSource, Consul

BUDGET = 24
"""Connections: places for 21 watches of their own, or for ten nodes."""


@asynccontextmanager
async def following(agent, *queries, connections=BUDGET):
    events = []
    settings = Consul(token=agent.token, max_connections=connections)
    catalog = open_catalog(CatalogSource(url=f"consul://{agent.address}"), settings, emit=events.append)
    hub = Hub({"default": catalog}, emit=events.append)
    running = asyncio.create_task(hub.run())
    hub.want(set(queries))
    hub.events = events
    try:
        yield hub
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert catalog.connections() == 0


async def until(hub, holds, *, seconds=30.0):
    """Wait until `holds` of the answers as they are then; an assertion in it counts as not yet."""
    said = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    if holds(hub.snapshot.answers):
                        return
                except AssertionError as fault:
                    said = str(fault)
                await hub.next()
    except TimeoutError:
        pytest.fail(f"never came to be: {said[:2000]}; {list(hub.snapshot.failures.items())[:3]}")


def service(name):
    return Query(kind=Kind.SERVICE, name=name)


WITH_CHECKS = Query(kind=Kind.CHECKS)


# -- which poll wakes for which change --------------------------------------------------------------

SERVICES, NODES, CRITICAL, WARNING, WRITTEN = "services", "nodes", "critical", "warning", "written"
PATHS = {
    SERVICES: sentinels.SERVICES,
    NODES: sentinels.NODES,
    CRITICAL: sentinels.CRITICAL,
    WARNING: sentinels.WARNING,
    WRITTEN: sentinels.CHECKS_WRITTEN,
    "node services": "/v1/catalog/node/node-1",
    "node checks": "/v1/health/node/node-1",
}
HERE, CHECKS = {SERVICES, "node services"}, {WRITTEN, "node checks"}

TABLE = [
    ("a new instance", lambda c: c.register("web", id="w2", port=2), HERE),
    ("a removed instance", lambda c: c.deregister("web"), HERE),
    ("a port", lambda c: c.register("web", port=9), HERE),
    ("tags", lambda c: c.register("web", port=1, tags=["b"]), HERE),
    ("meta", lambda c: c.register("web", port=1, meta={"v": "2"}), HERE),
    ("a check turns critical", lambda c: c.set_status("web", "critical"), CHECKS | {CRITICAL}),
    ("a check turns warning", lambda c: c.set_status("web", "warning"), CHECKS | {WARNING}),
    ("a check turns passing again", lambda c: c.set_status("ill", "passing"), CHECKS | {CRITICAL}),
    ("a check that is new and passes", lambda c: c.set_status("bare", "passing"), CHECKS),
    ("a passing check is removed", lambda c: c.remove_check("service:web"), CHECKS),
    ("a check's output", lambda c: c.set_status("web", "passing", output="said something"), CHECKS),
    ("a node's check turns critical", lambda c: c.set_node_status("critical"), CHECKS | {CRITICAL}),
    ("a node's address", lambda c: c.register("web", port=1, node_address="10.9.9.9"), {NODES, "node services"}),
    ("a node is removed", lambda c: c.deregister_node("node-1"), {SERVICES, NODES}),
]


@pytest.mark.parametrize(("change", "wakes"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_change_wakes_the_polls_that_the_design_counts_on(consul, change, wakes):
    consul.register("web", port=1, status="passing")
    consul.register("bare", port=1)
    # A poll of a state of which there are checks sleeps through what happens to all others.
    consul.register("ill", port=1, status="critical")
    consul.register("unwell", port=1, status="warning")
    consul.set_node_status("passing")

    async def story():
        client = Client(endpoints_of(consul.address, tls=False), Consul(max_connections=20))

        async def ask(path, **params):
            reply = await client.get(path, params, timeout=30, rule="")
            return int(reply.headers["x-consul-index"])

        before = {name: await ask(path) for name, path in PATHS.items()}
        polls = {
            name: asyncio.create_task(ask(path, index=str(before[name]), wait="20s")) for name, path in PATHS.items()
        }
        for _ in range(20):  # by then they are parked
            await ask("/v1/catalog/nodes")
        await asyncio.to_thread(change, consul)
        await asyncio.wait([polls[name] for name in wakes], timeout=15)
        woken = {name for name, poll in polls.items() if poll.done()}
        assert wakes <= woken, f"these slept through it: {wakes - woken}"
        assert all(polls[name].result() > before[name] for name in wakes)
        for poll in polls.values():
            poll.cancel()
        await asyncio.gather(*polls.values(), return_exceptions=True)
        await client.aclose()

    asyncio.run(story())


@pytest.mark.parametrize(
    "change", [row[1] for row in TABLE if SERVICES in row[2]], ids=[row[0] for row in TABLE if SERVICES in row[2]]
)
def test_whatever_is_registered_moves_the_index_of_a_listing_of_nothing(consul, change):
    """Where it is that of the whole listing, as it is once an instance is written, nothing happened since."""
    consul.register("ill", port=1)

    async def story():
        client = Client(endpoints_of(consul.address, tls=False), Consul(max_connections=20))

        async def ask(**params):
            reply = await client.get(sentinels.SERVICES, params, timeout=30, rule="")
            return int(reply.headers["x-consul-index"]), reply.body.strip()

        listed, before = 0, 1
        while listed != before:  # an agent that has just started may write its own node once more
            await asyncio.to_thread(consul.register, "web", port=before)
            (listed, _), (before, nothing) = await ask(), await ask(**NOWHERE)
            assert (listed <= before, nothing) == (True, b"{}")
        await asyncio.to_thread(change, consul)
        (listed, _), (after, _) = await ask(), await ask(**NOWHERE)
        assert before < listed <= after
        await client.aclose()

    asyncio.run(story())


def test_a_passing_check_that_is_new_or_gone_is_found_where_others_are_ill(consul, monkeypatch):
    monkeypatch.setattr(sweeping, "CHECKS_SECONDS", 0.5)
    names = [f"s{n}" for n in range(40)]

    async def story():
        for n, name in enumerate(names):
            status = ("critical", "warning", None)[min(n, 2)]
            await asyncio.to_thread(consul.register, name, node=f"node-{n % 16}", port=1, status=status)
        last = service(names[-1])
        async with following(consul, WITH_CHECKS, *map(service, names)) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            await asyncio.sleep(2)  # by then no look is due any more
            await asyncio.to_thread(consul.set_status, names[-1], "passing", node="node-7")
            await until(hub, lambda answers: len(answers[last].value[0].checks) == 1)
            await asyncio.sleep(2)
            await asyncio.to_thread(consul.remove_check, f"service:{names[-1]}", node="node-7")
            await until(hub, lambda answers: not answers[last].value[0].checks)

    asyncio.run(story())


AT_NODE_7 = {"Node": "node-7", "SkipNodeUpdate": True}


def test_checks_are_read_from_the_first_look_at_some_on(consul, monkeypatch):
    monkeypatch.setattr(sweeping, "CHECKS_SECONDS", 0.5)
    names = [service(f"s{n}") for n in range(40)]
    last = names[-1]

    async def story():
        for n, query in enumerate(names):
            await asyncio.to_thread(consul.register, query.name, node=f"node-{n % 16}", port=1, status="passing")
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            assert {i.all_checks for answer in hub.snapshot.answers.values() for i in answer.value} == {None}
            await asyncio.to_thread(consul.set_status, last.name, "critical", node="node-7")
            await until(hub, lambda answers: answers[last].value[0].status == "critical")
            assert hub.snapshot.answers[last].value[0].all_checks is None
            hub._linger = 0.0
            hub.want({*names, WITH_CHECKS})
            await until(hub, lambda answers: {len(answers[query].value[0].all_checks or ()) for query in names} == {1})
            hub.want(set(names))
            await asyncio.sleep(1)
            assert WITH_CHECKS not in hub.snapshot.answers
            check = {
                "Node": "node-7",
                "CheckID": "second",
                "Name": "second",
                "Status": "passing",
                "ServiceID": last.name,
            }
            await asyncio.to_thread(consul.put, "/v1/catalog/register", {**AT_NODE_7, "Check": check})
            await until(hub, lambda answers: len(answers[last].value[0].checks) == 2)

    asyncio.run(story())


def test_a_template_may_begin_to_look_at_the_checks_of_many_services(make_consul, ctemplate, tmp_path, eventually):
    """As the user runs it: a file without checks, an edit that prints them, a restart while the agent is away."""
    consul, template, out = make_consul(), tmp_path / "all.j2", tmp_path / "all.conf"
    loop = "{% for s in services() if s.name != 'consul' %}{% for i in service(s.name) %}I\n{% endfor %}{% endfor %}"
    template.write_text(loop.replace("I", "{{ i.id }}"))
    names = sorted(f"s{n}" for n in range(80))
    for n, name in enumerate(names):
        consul.register(name, node=f"node-{n % 40}", port=1, status="passing")
    arguments = "-consul-addr", consul.address, "-log-level", "debug", "-template", f"{template}:{out}"
    running = ctemplate(*arguments)
    eventually(lambda: out.exists() and out.read_text().split() == names, 30)
    assert "looks at checks" not in running.text
    template.write_text(loop.replace("I", "{{ i.id }}:{% for c in i.checks %}{{ c.id }}={{ c.status }}{% endfor %};"))
    expected = [f"{name}:service:{name}=passing;" for name in names]
    eventually(lambda: out.read_text().split() == expected, 30)
    assert running.text.count("a template looks at checks") == 1
    running.stop()
    consul.kill()
    out.unlink()
    ctemplate(*arguments, "-stale-start")
    eventually(lambda: out.exists() and out.read_text().split() == expected, 30)


@pytest.mark.parametrize("ill", [(), ("critical", "warning")], ids=["all else is well", "others are ill"])
def test_a_check_of_a_status_that_is_not_documented_counts_as_critical(consul, monkeypatch, ill):
    """Consul takes any word through its catalog, and no sentinel tells of those it does not document."""
    monkeypatch.setattr(sweeping, "CHECKS_SECONDS", 0.5)
    monkeypatch.setattr(census, "AUDIT_SECONDS", 0.2)
    names = [service(f"s{n}") for n in range(40)]
    first, last = names[-2:]

    async def story():
        for n, query in enumerate(names):
            status = ill[n] if n < len(ill) else "odd" if query is first else "passing"
            await asyncio.to_thread(consul.register, query.name, node=f"node-{n % 16}", port=1, status=status)
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            assert hub.snapshot.answers[first].value[0].status == "critical", "from the first answer on"
            while len([event for event in hub.events if "read all" in event.text()]) < 4:
                await asyncio.sleep(0.05)
                assert hub.snapshot.answers[first].value[0].status == "critical", "however often all is read"
            for status, seen in (("odd", "critical"), ("passing", "passing")):
                await asyncio.to_thread(consul.set_status, last.name, status, node="node-7")
                await until(hub, lambda answers, seen=seen: answers[last].value[0].status == seen)

    asyncio.run(story())


@pytest.mark.parametrize("whose", ["the node's", "the services'"])
def test_more_services_than_nodes_with_a_status_that_is_not_documented_are_read_once(consul, monkeypatch, whose):
    names = [service(f"s{n}") for n in range(40)]
    loads = []

    async def read_all(census, names):
        loads.append(len(names))
        await loading.read_all(census, names)

    monkeypatch.setattr(census, "read_all", read_all)

    def fill():
        for n, query in enumerate(names):
            status = "odd" if whose == "the services'" and n < 20 else "passing"
            consul.register(query.name, node="node-0" if n < 20 else f"node-{n % 15}", port=1, status=status)
        if whose == "the node's":
            consul.set_node_status("odd", node="node-0")

    async def story():
        await asyncio.to_thread(fill)
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            await asyncio.sleep(1)
            assert len(loads) <= 2, loads
            seen = [hub.snapshot.answers[query].value[0].status for query in names]
            assert seen[:20] == ["critical"] * 20
            assert seen.count("critical") == (21 if whose == "the node's" else 20)

    asyncio.run(story())


def test_a_check_counts_however_its_node_and_its_service_are_spelt(consul):
    """Consul finds them in any case, and keeps for each record how it was written."""
    names = [service(f"s{n}") for n in range(40)]
    checks = [
        {"Node": "node-3", "CheckID": "x", "Status": "critical", "ServiceID": "s3"},
        {"Node": "Node-4", "CheckID": "y", "Status": "critical", "ServiceID": "S4"},
        {"Node": "NODE-5", "CheckID": "z", "Status": "critical"},
    ]

    async def story():
        for n, query in enumerate(names):
            await asyncio.to_thread(consul.register, query.name, node=f"Node-{n % 15}", port=1, status="passing")
        write = [{"Node": check["Node"], "SkipNodeUpdate": True, "Check": check} for check in checks]
        for body in write[:2]:
            await asyncio.to_thread(consul.put, "/v1/catalog/register", body)
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            assert [n for n in range(40) if hub.snapshot.answers[names[n]].value[0].status != "passing"] == [3, 4]
            await asyncio.to_thread(consul.put, "/v1/catalog/register", write[2])
            await until(
                hub,
                lambda answers: (
                    [n for n in range(40) if answers[names[n]].value[0].status != "passing"] == [3, 4, 5, 20, 35]
                ),
            )

    asyncio.run(story())


@pytest.mark.parametrize("way", ["sentinels", "two polls a node"])
def test_a_check_of_a_node_counts_for_all_that_is_on_it_though_it_names_a_service(consul, monkeypatch, way):
    """Consul takes a check of a node that bears the name of a service, and counts it as the node's."""
    nodes = 16 if way == "sentinels" else 4
    names = [service(f"s{n}") for n in range(40)]
    read, read_one = [], census.Census._read_one

    async def counted(self, item):
        read.append(item[0])
        await read_one(self, item)

    monkeypatch.setattr(census.Census, "_read_one", counted)

    def set_node(status):
        check = {"Node": "node-1", "CheckID": "disk", "Status": status, "ServiceName": "s1"}
        consul.put("/v1/catalog/register", {"Node": "node-1", "SkipNodeUpdate": True, "Check": check})

    async def story():
        for n, query in enumerate(names):
            await asyncio.to_thread(consul.register, query.name, node=f"node-{n % nodes}", port=1, status="passing")
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            for wanted in ("critical", "passing", "critical"):
                await asyncio.to_thread(set_node, wanted)
                await until(
                    hub, lambda answers, all={wanted}: {answers[q].value[0].status for q in names[1::nodes]} == all
                )
            read.clear()
            for status in ("critical", "passing"):
                await asyncio.to_thread(consul.set_status, "s3", status, node="node-3")
                await until(hub, lambda answers, status=status: answers[names[3]].value[0].status == status)
            assert set(read) == {"s3"}, "and nothing is read again for it"

    asyncio.run(story())


def test_a_check_counts_as_long_as_it_is_there_though_it_bears_the_name_that_its_service_had(consul, monkeypatch):
    """Consul leaves the name of a service on its checks until they are written again, whatever becomes of it."""
    monkeypatch.setattr(sweeping, "CHECKS_SECONDS", 0.5)
    names = [service(f"s{n}") for n in range(40)]
    new = names[31]

    async def story():
        for n, query in enumerate(names):
            await asyncio.to_thread(consul.register, query.name, node=f"node-{n % 15}", port=1, status="passing")
        for status in ("odd", "critical"):
            await asyncio.to_thread(consul.register, "s30", id=status, node="node-0", port=2, status=status)
            await asyncio.to_thread(consul.register, "s31", id=status, node="node-0", port=2)
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == len(names))
            await until(
                hub, lambda answers: [i.status for i in answers[new].value] == ["critical", "critical", "passing"]
            )
            for status, left in (("critical", ["passing", "critical"]), ("odd", ["passing", "passing"])):
                await asyncio.to_thread(consul.set_status, status, "passing", node="node-0")
                await until(hub, lambda answers, left=left: [i.status for i in answers[new].value][:2] == left)

    asyncio.run(story())


# -- everything, in any order -----------------------------------------------------------------------


class Changes:
    """Random changes of every kind, a step each, on a small catalog where they meet often."""

    def __init__(self, agent, *, seed, nodes, names):
        self.agent = agent
        self.random = random.Random(seed)
        self.nodes = [f"node-{n}" for n in range(nodes)]
        self.names = names
        self.there = {}
        """(node, id) → service name."""

    def step(self):
        kinds = [
            (6, self.register), (3, self.deregister), (3, self.move), (6, self.set_status), (1, self.say),
            (1, self.set_node_status), (1, self.node_address), (0.3, self.remove_node), (1, self.in_one_go),
            (1, self.rename),
        ]  # fmt: skip
        weights = [weight for weight, _ in kinds]
        self.random.choices([kind for _, kind in kinds], weights)[0]()

    def one(self):
        return self.random.choice(sorted(self.there)) if self.there else None

    def register(self, place=None):
        if place is None:
            name = self.random.choice(self.names)
            place = self.random.choice(self.nodes), f"{name}-{self.random.randrange(3)}"
        name = place[1].rpartition("-")[0]
        options = (
            {"status": self.random.choice(["passing", "warning", "critical"])} if self.random.random() < 0.5 else {}
        )
        self.agent.register(
            name, id=place[1], node=place[0], port=self.random.randrange(1, 70_000),  # some are none, and left out
            address=self.random.choice(["", "10.1.1.1"]),
            tags=self.random.sample(["a", "b", "c"], 2), meta={"v": str(self.random.randrange(9))}, **options,
        )  # fmt: skip
        self.there[place] = name

    def deregister(self):
        if place := self.one():
            self.agent.deregister(place[1], node=place[0])
            del self.there[place]

    def move(self):
        """To another node: gone here, new there."""
        if place := self.one():
            self.register((self.random.choice(self.nodes), place[1]))
            self.agent.deregister(place[1], node=place[0]) if place in self.there else None
            self.there.pop(place, None)

    def in_one_go(self):
        """Two of everything, in one transaction."""
        nodes = sorted({node for node, _ in self.there})
        if not nodes:
            return
        operations = []
        for _ in range(2):
            name, node = self.random.choice(self.names), self.random.choice(nodes)
            body = {"ID": f"{name}-9", "Service": name, "Port": self.random.randrange(1, 60000)}
            operations.append({"Service": {"Verb": "set", "Node": node, "Service": body}})
            self.there[node, f"{name}-9"] = name
        self.agent.put("/v1/txn", operations)

    def set_status(self):
        if place := self.one():
            status = self.random.choices(["passing", "warning", "critical", "of no kind"], (6, 6, 6, 1))[0]
            self.agent.set_status(place[1], status, node=place[0])

    def say(self):
        if place := self.one():
            self.agent.set_status(place[1], "passing", node=place[0], output=str(self.random.random()))

    def set_node_status(self):
        """By one check of its own, or by one that bears the name of a service."""
        if place := self.one():
            status = self.random.choice(["passing", "critical"])
            if self.random.random() < 0.5:
                self.agent.set_node_status(status, node=place[0])
            else:
                check = {"Node": place[0], "CheckID": "named", "Status": status, "ServiceName": self.there[place]}
                self.agent.put("/v1/catalog/register", {"Node": place[0], "SkipNodeUpdate": True, "Check": check})

    def rename(self):
        """Its checks bear the old name until they are written again."""
        if place := self.one():
            self.there[place] = name = self.random.choice(self.names)
            self.agent.register(name, id=place[1], node=place[0], port=self.random.randrange(1, 60000))

    def node_address(self):
        if place := self.one():
            address = f"10.2.2.{self.random.randrange(1, 250)}"
            self.agent.put("/v1/catalog/register", {"Node": place[0], "Address": address})

    def remove_node(self):
        if place := self.one():
            self.agent.deregister_node(place[0])
            self.there = {there: name for there, name in self.there.items() if there[0] != place[0]}


async def truth(agent, queries, *, checks) -> dict[Query, Answer]:
    """What Consul says, each service read on its own."""
    catalog = open_catalog(CatalogSource(url=f"consul://{agent.address}"), Consul(), emit=print)
    try:
        answers = {query: await catalog.confirm(query) for query in queries}
        return answers if checks else {query: records.without_checks(answer) for query, answer in answers.items()}
    finally:
        await catalog.aclose()


@pytest.mark.torture
@pytest.mark.parametrize(
    ("nodes", "names", "way", "checks"),
    [
        pytest.param(6, 40, "two polls a node", True, id="two polls a node"),
        pytest.param(16, 40, "sentinels", False, id="sentinels, found by node"),
        pytest.param(16, 40, "sentinels", True, id="sentinels, found by node, with checks"),
        pytest.param(60, 30, "sentinels", False, id="sentinels, found by name"),
        pytest.param(60, 30, "sentinels", True, id="sentinels, found by name, with checks"),
    ],
)
def test_no_change_of_any_kind_is_ever_missed(make_consul, monkeypatch, torture, nodes, names, way, checks):
    # What only a look at every check finds (one that is new and passes) is looked for every 30 s.
    monkeypatch.setattr(sweeping, "CHECKS_SECONDS", 1.0)
    seed = random.randrange(10**9)
    count = 3_400 if torture else 90

    async def story():
        agent = await asyncio.to_thread(make_consul)
        changes = Changes(agent, seed=seed, nodes=nodes, names=[f"s{n}" for n in range(names)])
        for node in changes.nodes:
            await asyncio.to_thread(agent.register, "base", node=node, port=1)
        queries = [service(name) for name in changes.names]
        async with following(agent, *queries, *([WITH_CHECKS] if checks else [])) as hub:
            made = 0
            while made < count:
                burst = changes.random.randrange(1, 60)
                await asyncio.to_thread(lambda count: [changes.step() for _ in range(count)], burst)
                made += burst
                expected = await truth(agent, queries, checks=checks)
                await until(hub, lambda answers, expected=expected: same(answers, expected, seed))
            assert any(way in event.text() for event in hub.events), [event.text() for event in hub.events]
            assert not [event.text() for event in hub.events if "no poll of Consul told" in event.text()]

    asyncio.run(story())


def same(answers, expected, seed):
    wrong = {query: answer for query, answer in expected.items() if answers.get(query) != answer}
    assert not wrong, f"seed {seed}: " + "; ".join(
        f"{query}: {apart(answers.get(query), answer)}" for query, answer in list(wrong.items())[:2]
    )
    return True


def apart(seen: Answer | None, right: Answer) -> str:
    """What two answers do not share."""
    if seen is None:
        return "nothing was seen"
    ours, theirs = list(seen.value), list(right.value)
    return f"only ours {[i for i in ours if i not in theirs]}, only Consul's {[i for i in theirs if i not in ours]}"


def test_an_instance_that_moves_between_nodes_is_never_seen_on_none(consul):
    """Parts read from node after node would show it nowhere when it moves at the wrong moment."""
    names = [f"s{n}" for n in range(40)]
    web = service("web")

    async def story():
        for n in range(30):
            await asyncio.to_thread(consul.register, names[n], node=f"node-{n}", port=1)
        await asyncio.to_thread(consul.register, "web", node="node-0", port=1)
        async with following(consul, web, *(service(name) for name in names)) as hub:
            await until(hub, lambda answers: web in answers)
            seen = []

            async def watch():
                while True:
                    seen.append(len(hub.snapshot.answers[web].value))
                    await hub.next()

            watching = asyncio.create_task(watch())
            for n in range(1, 60):
                await asyncio.to_thread(consul.register, "web", node=f"node-{n % 30}", port=n)
                await asyncio.to_thread(consul.deregister, "web", node=f"node-{(n - 1) % 30}")
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            assert 0 not in seen
            await until(hub, lambda answers: [i.port for i in answers[web].value] == [59])

    asyncio.run(story())


def test_everything_is_read_while_checks_speak_and_others_are_ill(consul, monkeypatch):
    """The polls of what ails sleep through checks of other states, while the index of all checks moves on."""
    monkeypatch.setattr(census, "AUDIT_SECONDS", 0.2)
    names = [service(f"s{n}") for n in range(40)]

    async def story():
        for n, query in enumerate(names):
            status = ("critical", "warning", "passing")[min(n, 2)]
            await asyncio.to_thread(consul.register, query.name, node=f"node-{n % 16}", port=1, status=status)
        async with following(consul, *names) as hub:
            async with asyncio.timeout(15):
                for n in itertools.count():
                    await asyncio.to_thread(consul.set_status, "s39", "passing", node="node-7", output=str(n))
                    if len(hub.snapshot.answers) == 40 and sum("read all" in e.text() for e in hub.events) > 3:
                        break
            assert not hub.snapshot.failures

    asyncio.run(story())


def test_how_far_it_is_is_told_while_everything_is_read(consul):
    async def story():
        for n in range(11):  # one node more than could be polled each, and the agent's own
            await asyncio.to_thread(consul.register, "web", node=f"node-{n}", port=1)
        async with following(consul, *(service(f"s{n}") for n in range(50))) as hub:
            told = []
            while len(hub.snapshot.answers) < 50 or hub.underway():
                told.append(hub.underway())
                await asyncio.sleep(0)
            assert {f"{n} of 12 nodes are read" for n in range(6, 13)} & {*told}

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_service_that_is_asked_for_before_it_exists_is_followed_by_the_census_too(consul):
    names = [service(f"s{n}") for n in range(40)]

    async def story():
        async with following(consul, *names) as hub:
            await until(hub, lambda answers: len(answers) == 40)
            assert all(answer.value == () for answer in hub.snapshot.answers.values())
            await asyncio.to_thread(consul.register, "S7", port=7)  # Consul looks names up in any case
            await until(hub, lambda answers: [i.port for i in answers[names[7]].value] == [7])
            hub.want({*names, service("late")})
            await asyncio.to_thread(consul.register, "late", port=8, node="late-node")
            await until(hub, lambda answers: service("late") in answers and len(answers[service("late")].value) == 1)

    asyncio.run(story())


def test_watches_move_to_shared_polls_and_back_and_no_answer_is_lost(consul, monkeypatch):
    from ctemplate.catalog.consul import seats

    monkeypatch.setattr(seats, "LINGER_SECONDS", 0.5)
    few, many = [service(f"s{n}") for n in range(10)], [service(f"s{n}") for n in range(60)]

    async def story():
        await asyncio.to_thread(consul.register, "s3", port=3)
        async with following(consul, *few) as hub:
            await until(hub, lambda answers: len(answers) == 10)
            hub._linger = 0.0
            for wanted, port in ((many, 4), (few, 5), (many, 6), (few, 7)):
                hub.want(set(wanted))
                await asyncio.to_thread(consul.register, "s3", port=port)
                await until(hub, lambda answers, port=port: [i.port for i in answers[few[3]].value] == [port])
                await until(hub, lambda answers, wanted=wanted: all(query in answers for query in wanted))
            assert hub.snapshot.failures == {}

    asyncio.run(story())


def test_many_keys_share_one_poll_a_folder(consul):
    keys = [Query(kind=Kind.KEY, name=f"app/{n}") for n in range(60)]
    tree, other = Query(kind=Kind.KEYS, name="app/deep"), Query(kind=Kind.KEY, name="solo")

    async def story():
        await asyncio.to_thread(consul.kv_put, "app/7", "seven")
        async with following(consul, tree, other, *keys) as hub:
            await until(hub, lambda answers: len(answers) == 62)
            assert hub.snapshot.answers[keys[7]].value == "seven"
            assert hub.snapshot.answers[keys[8]].value is None
            assert hub.snapshot.answers[tree].value == ()
            await asyncio.to_thread(consul.kv_put, "app/deep/x", "1")
            await asyncio.to_thread(consul.kv_put, "app/8", "eight")
            await until(hub, lambda answers: answers[tree].value == (KeyValue("x", "1"),))
            await until(hub, lambda answers: answers[keys[8]].value == "eight")
            await asyncio.to_thread(consul.kv_delete, "app", recurse=True)
            await until(hub, lambda answers: answers[keys[8]].value is None and answers[tree].value == ())
            (report,) = hub.reports()
            assert report.connections <= 4

    asyncio.run(story())


def test_an_agent_that_restarts_is_followed_again_by_the_census(make_consul):
    names = [service(f"s{n}") for n in range(40)]

    async def story():
        agent = await asyncio.to_thread(make_consul, data_dir=True)
        for n in range(20):
            await asyncio.to_thread(agent.register, f"s{n}", node=f"node-{n}", port=1)
        async with following(agent, *names) as hub:
            await until(hub, lambda answers: len(answers) == 40 and len(answers[names[0]].value) == 1)
            await asyncio.to_thread(agent.kill)
            await until(hub, lambda _: len(hub.snapshot.failures) == 40)
            assert len(hub.snapshot.answers[names[0]].value) == 1
            await asyncio.to_thread(agent.start)
            await asyncio.to_thread(agent.register, "s0", node="node-0", port=2)
            await until(hub, lambda answers: [i.port for i in answers[names[0]].value] == [2])
            await until(hub, lambda _: not hub.snapshot.failures)

    asyncio.run(story())


@pytest.mark.timeout(200)
def test_the_agents_own_limit_halves_the_budget_and_all_goes_on(make_consul, monkeypatch):
    monkeypatch.setattr(blocking, "WAIT_SECONDS", 3.0)  # Consul counts a parked connection until its wait is over
    queries = [Query(kind=Kind.SERVICE, name=f"s{n}", filter='Service.Port != "0"') for n in range(40)]

    async def story():
        agent = await asyncio.to_thread(make_consul, config={"limits": {"http_max_conns_per_client": 20}})
        async with following(agent, *queries, connections=64) as hub:
            await until(hub, lambda answers: len(answers) == 40 and not hub.snapshot.failures, seconds=150)
            said = [event.text() for event in hub.events if "http_max_conns_per_client in its" in event.text()]
            assert 1 <= len(said) <= 3
            assert "-max-connections" in said[0]

    asyncio.run(story())


def test_the_ways_that_are_tried_here_are_the_ways_that_are_chosen():
    counts = arranging.Counts(services=40)
    arrangement = arranging.arrange(counts, places=arranging.places_of(BUDGET))
    assert arrangement.services is arranging.Way.CENSUS
    assert 2 * 6 + 1 <= arrangement.census < 2 * 16 + 1
