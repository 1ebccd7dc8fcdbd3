"""The Eureka catalog against servers that misbehave, one or several, with intervals and leases of milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing

import pytest

from contract.eureka_model import EurekaModel
from contract.following import Following, following
from ctemplate.catalog.eureka import catalog as catalog_module
from ctemplate.catalog.eureka.catalog import EurekaCatalog
from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import Refused, Unavailable
from ctemplate.events import Event, Notice
from ctemplate.model import Instance, Kind, Query
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name="web")
LISTING = Query(kind=Kind.SERVICES)
QUICK = {"interval": "50ms", "lease": "400ms"}

MakeModel = Callable[[], EurekaModel]
Story = Callable[[Following, EurekaCatalog], Awaitable[None]]


@pytest.fixture
def model() -> Iterator[MakeModel]:
    """`model()`: one more server, empty."""
    made: list[EurekaModel] = []

    def make() -> EurekaModel:
        made.append(EurekaModel())
        return made[-1]

    yield make
    for one in made:
        one.stop()


def opened(*models: EurekaModel, events: list[Event] | None = None, **options: str) -> EurekaCatalog:
    source = CatalogSource(url=f"eureka://{','.join(m.address for m in models)}/eureka", options={**QUICK, **options})
    catalog = open_catalog(source, Consul(), emit=(events if events is not None else []).append)
    assert isinstance(catalog, EurekaCatalog)
    return catalog


def follow(story: Story, *models: EurekaModel, **options: str) -> None:
    async def main() -> None:
        events: list[Event] = []
        catalog = opened(*models, events=events, **options)
        async with following(catalog, WEB, LISTING, events=events) as f:
            await story(f, catalog)

    asyncio.run(main())


async def confirmed(*models: EurekaModel, **options: str) -> tuple[Instance, ...]:
    catalog = opened(*models, **options)
    try:
        return (await catalog.confirm(WEB)).value
    finally:
        await catalog.aclose()


def ports(value: tuple[Instance, ...]) -> list[int]:
    return sorted(instance.port for instance in value)


def holding(*expected: int) -> Callable[[tuple[Instance, ...]], bool]:
    return lambda value: ports(value) == sorted(expected)


def seen(f: Following) -> list[list[int]]:
    found: list[list[int]] = []
    for value in f.values(WEB):
        if not found or found[-1] != ports(value):
            found.append(ports(value))
    return found


async def fetched(model: EurekaModel, count: int = 12) -> None:
    """Wait until `model` was asked `count` times more; a dozen take longer than a lease."""
    until = len(model.requests) + count
    async with asyncio.timeout(20):
        while len(model.requests) < until:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_names_are_in_lower_case_and_asked_for_in_any(model: MakeModel):
    one = model()
    one.put("Web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        names = (await f.until(LISTING, bool)).value
        assert [name.name for name in names] == ["web"]
        assert ports((await catalog.confirm(Query(kind=Kind.SERVICE, name="WEB"))).value) == [7001]

    follow(story, one)


def test_a_cached_answer_lags_and_is_followed(model: MakeModel):
    one = model()
    one.put("web", "w1", 7001)
    one.cache()

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        one.put("web", "w1", 7002)
        await fetched(one, 3)
        assert seen(f) == [[7001]]
        one.uncache()
        await f.until(WEB, holding(7002))

    follow(story, one)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_server_that_warms_up_or_fails_is_unknown_and_nothing_goes(model: MakeModel, status: int):
    one = model()
    one.put("web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        one.status = status
        failure = await f.until_failed(WEB)
        assert (failure.refused, str(status) in failure.reason, one.address in failure.reason) == (False, True, True)
        one.status = 200
        await f.until_mended(WEB)
        assert seen(f) == [[7001]]

    follow(story, one)


def test_what_is_no_listing_is_unknown(model: MakeModel):
    one = model()
    one.put("web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        one.junk = b'{"applications": {"applic'
        await f.until_failed(WEB)
        one.junk = None
        await f.until_mended(WEB)
        assert seen(f) == [[7001]]

    follow(story, one)


def test_a_server_that_was_restarted_empty_takes_nothing_away_while_its_clients_come_back(model: MakeModel):
    one = model()
    one.put("web", "w1", 7001)
    one.put("web", "w2", 7002)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001, 7002))
        one.instances.clear()
        await fetched(one, 3)
        one.put("web", "w1", 7001)
        await fetched(one, 2)
        one.put("web", "w2", 7002)
        await fetched(one)
        assert seen(f) == [[7001, 7002]]
        told = [event.message for event in f.events if isinstance(event, Notice)]
        assert any("no longer lists 2 of 2 instances" in message for message in told)

    follow(story, one, lease="20s")


def test_what_stays_missing_for_a_lease_goes(model: MakeModel):
    one = model()
    one.put("web", "w1", 7001)
    one.put("web", "w2", 7002)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001, 7002))
        one.remove("w2")
        await f.until(WEB, holding(7001))
        assert seen(f) == [[7001, 7002], [7001]]

    follow(story, one)


def test_another_peer_is_asked_before_an_empty_list_is_believed_however_long_it_lasts(model: MakeModel):
    first, other = model(), model()
    for peer in (first, other):
        peer.put("web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        asked = len(other.requests)
        await fetched(first, 4)
        assert len(other.requests) == asked, "a peer was asked without a reason"
        first.instances.clear()
        await fetched(first, 30)
        assert len(other.requests) > asked
        assert seen(f) == [[7001]]
        other.instances.clear()
        await f.until(WEB, holding())

    follow(story, first, other)


def test_peers_that_list_a_part_each_are_believed_together(model: MakeModel):
    first, other = model(), model()
    for number in range(7001, 7005):
        first.put("web", f"w{number}", number)
    for number in range(7005, 7009):
        other.put("web", f"w{number}", number)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(*range(7001, 7009)))
        await fetched(first, 30)
        assert seen(f) == [list(range(7001, 7009))]

    follow(story, first, other)


def test_a_peer_that_cannot_say_takes_nothing_away_and_adds_nothing(model: MakeModel):
    first, other = model(), model()
    first.put("web", "w1", 7001)
    other.status = 403
    assert ports(asyncio.run(confirmed(first, other))) == [7001]


def test_a_peer_that_is_gone_warms_up_or_freezes_is_replaced_by_another(
    model: MakeModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(catalog_module, "READ_SECONDS", 0.5)
    first, other = model(), model()
    for peer in (first, other):
        peer.put("web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        for port, fault, mend in (
            (7002, first.kill, first.start),
            (7003, lambda: setattr(other, "status", 403), lambda: setattr(other, "status", 200)),
            (7004, first.freeze, first.thaw),
        ):
            await asyncio.to_thread(fault)
            for peer in (first, other):
                peer.put("web", "w1", port)
            await f.until(WEB, holding(port))
            await asyncio.to_thread(mend)
        assert seen(f) == [[7001], [7002], [7003], [7004]]

    follow(story, first, other)


def test_an_empty_list_at_the_start_is_unknown_until_it_stays(model: MakeModel):
    one = model()

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        failure = await f.until_failed(WEB)
        assert "no instance at all" in failure.reason
        assert seen(f) == []
        await f.until(WEB, holding())

    follow(story, one)


def test_a_status_is_believed_at_once(model: MakeModel):
    one = model()
    one.put("web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        one.put("web", "w1", 7001, status="OUT_OF_SERVICE")
        await f.until(WEB, lambda value: value[0].status == "maintenance")

    follow(story, one, lease="1h")


def test_confirming_asks_every_peer(model: MakeModel):
    first, other = model(), model()
    first.put("web", "w1", 7001)

    async def story(f: Following, catalog: EurekaCatalog) -> None:
        await f.until(WEB, holding(7001))
        other.put("web", "w2", 7002)
        assert ports((await catalog.confirm(WEB)).value) == [7001, 7002]

    follow(story, first, other, interval="1h")


def test_a_user_and_a_password_come_from_options_the_url_or_a_file_and_are_never_said(model: MakeModel, tmp_path):
    one = model()
    one.put("web", "w1", 7001)
    one.login = "reader:s3cret/@"
    (tmp_path / "password").write_text("s3cret/@\n")
    for options in (
        {"user": "reader", "password": "s3cret/@"},
        {"user": "reader", "password_file": str(tmp_path / "password")},
    ):
        assert ports(asyncio.run(confirmed(one, **options))) == [7001]
    with pytest.raises(Refused) as caught:
        asyncio.run(confirmed(one, user="reader", password="hush"))
    assert "hush" not in str(caught.value)

    async def by_url() -> None:
        source = CatalogSource(url=f"eureka://reader:s3cret%2F%40@{one.address}/eureka")
        catalog = open_catalog(source, Consul(), emit=[].append)
        assert ports((await catalog.confirm(WEB)).value) == [7001]
        assert "s3cret" not in catalog.describe()
        await catalog.aclose()

    asyncio.run(by_url())


@pytest.mark.parametrize(
    "query",
    [
        Query(kind=Kind.KEY, name="a"),
        Query(kind=Kind.KEYS),
        Query(kind=Kind.NODES),
        Query(kind=Kind.NODE, name="a"),
        Query(kind=Kind.DATACENTERS),
        Query(kind=Kind.SERVICE, name="web", dc="dc2"),
        Query(kind=Kind.SERVICE, name="web", near="a"),
        Query(kind=Kind.SERVICE, name="web", filter="a"),
    ],
    ids=str,
)
def test_what_eureka_does_not_have_is_refused_without_asking_it(model: MakeModel, query: Query):
    one = model()

    async def main() -> None:
        catalog = opened(one)
        with pytest.raises(Refused):
            await catalog.confirm(query)
        async with aclosing(catalog.watch(query)) as watch:
            with pytest.raises(Refused):
                await anext(watch)

    asyncio.run(main())
    assert one.requests == []


def test_what_fails_names_each_peer(model: MakeModel):
    first, other = model(), model()
    first.status, other.status = 500, 403
    with pytest.raises(Unavailable) as caught:
        asyncio.run(confirmed(first, other))
    assert f"{first.address}/eureka/apps: 500" in str(caught.value)
    assert f"{other.address}/eureka/apps: 403" in str(caught.value)


def test_a_wrong_path_is_explained(model: MakeModel):
    one = model()
    catalog = open_catalog(CatalogSource(url=f"eureka://{one.address}/eureka/v3"), Consul(), emit=[].append)
    with pytest.raises(Unavailable, match="is the path right"):
        asyncio.run(catalog.confirm(WEB))
