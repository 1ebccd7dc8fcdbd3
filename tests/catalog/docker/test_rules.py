"""Which services a container is: Registrator's own rules as a table, labels of one's own, and where ports are."""

from __future__ import annotations

import msgspec
import pytest

from ctemplate.catalog.docker import labels, registrator
from ctemplate.catalog.docker.containers import Binding, Container, Port, inspected
from ctemplate.catalog.docker.labels import Labels
from ctemplate.catalog.docker.places import Rules, places
from ctemplate.catalog.docker.services import offer, select, status_of
from ctemplate.errors import Refused
from ctemplate.model import Kind, Node, Query

RULES = Rules(host="h1", host_address="192.168.1.102")
NODE = Node(name="h1")


def container(*, published=(), exposed=(), **fields) -> Container:
    """`published`: `outer:inner[/udp]`; a port that is exposed only is known to the engine as unbound."""
    bound = {}
    for text in published:
        outer, _, inner = text.partition(":")
        number, _, protocol = inner.partition("/")
        bound[Port(int(number), protocol or "tcp")] = Binding("0.0.0.0", int(outer))
    open_ports = {Port(int(text), "tcp") for text in exposed}
    given = {"id": "c1", "name": "redis.0", "image": "progrium/redis", "networks": {"bridge": "172.17.0.2"}}
    given |= {"network_mode": "bridge", **fields}
    return Container(exposed=frozenset(open_ports | bound.keys()), published=dict.fromkeys(open_ports) | bound, **given)


def services(made, rules=RULES, *, others=()):
    known = {other.id: other for other in (made, *others)}
    return list(registrator.services(made, places(made, known, rules), rules, status="passing"))


def shown(made, rules=RULES):
    return [
        (s.id, s.name, f"{s.place.address}:{s.place.port}", ",".join(s.tags), s.meta) for s in services(made, rules)
    ]


def env(**variables):
    return tuple(f"SERVICE_{key}={value}" for key, value in variables.items())


REDIS = {"published": ["10000:6379"]}
NGINX = {"name": "nginx.0", "image": "progrium/nginx", "published": ["4443:443", "8000:80"]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # The examples of Registrator's own documentation, in their order there.
        (REDIS, [("h1:redis.0:6379", "redis", "192.168.1.102:10000", "", {})]),
        (
            {**REDIS, "env": env(NAME="db", TAGS="master,backups", REGION="us2")},
            [("h1:redis.0:6379", "db", "192.168.1.102:10000", "backups,master", {"region": "us2"})],
        ),
        (
            {**REDIS, "env": env(NAME="db", TAGS="/(;\\,:-_)/", REGION="us2")},
            [("h1:redis.0:6379", "db", "192.168.1.102:10000", "/(;,:-_)/", {"region": "us2"})],
        ),
        (
            NGINX,
            [
                ("h1:nginx.0:80", "nginx-80", "192.168.1.102:8000", "", {}),
                ("h1:nginx.0:443", "nginx-443", "192.168.1.102:4443", "", {}),
            ],
        ),
        (
            {
                **NGINX,
                "env": (
                    "SERVICE_443_NAME=https",
                    "SERVICE_443_ID=https.12345",
                    "SERVICE_443_SNI=enabled",
                    "SERVICE_80_NAME=http",
                    "SERVICE_TAGS=www",
                ),
            },
            [
                ("h1:nginx.0:80", "http", "192.168.1.102:8000", "www", {}),
                ("https.12345", "https", "192.168.1.102:4443", "www", {"sni": "enabled"}),
            ],
        ),
        (
            {**REDIS, "labels": {"SERVICE_NAME": "db", "SERVICE_TAGS": "master,backups", "SERVICE_REGION": "us2"}},
            [("h1:redis.0:6379", "db", "192.168.1.102:10000", "backups,master", {"region": "us2"})],
        ),
        # Its rules that the documentation says in words, or only the source does.
        (
            {**NGINX, "env": env(NAME="web")},
            [
                ("h1:nginx.0:80", "web-80", "192.168.1.102:8000", "", {}),
                ("h1:nginx.0:443", "web-443", "192.168.1.102:4443", "", {}),
            ],
        ),
        (
            {**NGINX, "env": ("SERVICE_80_IGNORE=no",)},  # any value ignores; the ignored port counts
            [("h1:nginx.0:443", "nginx-443", "192.168.1.102:4443", "", {})],
        ),
        ({**REDIS, "env": env(IGNORE="1")}, []),
        ({**REDIS, "env": env(IGNORE="")}, [("h1:redis.0:6379", "redis", "192.168.1.102:10000", "", {"ignore": ""})]),
        ({"exposed": ["6379"]}, []),
        (
            {**REDIS, "exposed": ["9"], "env": env(NAME="db")},  # a port that is not published does not count
            [("h1:redis.0:6379", "db", "192.168.1.102:10000", "", {})],
        ),
        (
            {"published": ["53:53/udp"], "env": env(NAME="dns", TAGS="a")},
            [("h1:redis.0:53:udp", "dns", "192.168.1.102:53", "a,udp", {})],
        ),
        (
            {**REDIS, "env": env(NAME="env"), "labels": {"SERVICE_NAME": "label"}},
            [("h1:redis.0:6379", "label", "192.168.1.102:10000", "", {})],
        ),
        (
            {**REDIS, "env": ("SERVICE_6379_NAME=own",), "labels": {"SERVICE_NAME": "all"}},
            [("h1:redis.0:6379", "own", "192.168.1.102:10000", "", {})],
        ),
        (
            {**REDIS, "env": ("SERVICE_6380_NAME=x", "SERVICE_CHECK_HTTP=/", "SERVICE_=odd", "OTHER=1")},
            [("h1:redis.0:6379", "redis", "192.168.1.102:10000", "", {"check_http": "/", "": "odd"})],
        ),
        ({**REDIS, "image": "r:5000/team/redis:7"}, [("h1:redis.0:6379", "redis", "192.168.1.102:10000", "", {})]),
        ({**REDIS, "image": "team/redis@sha256:0a"}, [("h1:redis.0:6379", "redis", "192.168.1.102:10000", "", {})]),
        (
            {"exposed": ["80"], "network_mode": "host", "networks": {"host": ""}},
            [("h1:redis.0:80", "redis", "192.168.1.102:80", "", {})],
        ),
    ],
)
def test_a_container_is_the_services_that_registrator_makes_of_it(fields, expected):
    assert shown(container(**fields)) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, [("db", "192.168.1.102:10000")]),
        ({"ip": "10.0.0.1"}, [("db", "10.0.0.1:10000")]),
        ({"internal": True}, [("db-9", "172.17.0.2:9"), ("db-6379", "172.17.0.2:6379")]),
        ({"use_ip_from_label": "cidr"}, [("db", "10.9.9.9:10000")]),
        ({"use_ip_from_label": "plain"}, [("db", "10.8.8.8:10000")]),
        ({"use_ip_from_label": "absent"}, [("db", "192.168.1.102:10000")]),
        ({"explicit": True}, [("db", "192.168.1.102:10000")]),
    ],
)
def test_its_flags_mean_what_they_mean_there(rules, expected):
    made = container(**REDIS, exposed=["9"], env=env(NAME="db"), labels={"cidr": "10.9.9.9/24", "plain": "10.8.8.8"})
    found = services(made, msgspec.structs.replace(RULES, **rules))
    assert [(s.name, f"{s.place.address}:{s.place.port}") for s in found] == expected


def test_explicit_leaves_out_what_has_no_name():
    assert services(container(**REDIS), msgspec.structs.replace(RULES, explicit=True)) == []


def test_on_a_user_network_a_published_port_is_at_the_hosts_address():
    """Registrator pairs the container's address with the host's port, where nothing listens."""
    made = container(**REDIS, network_mode="front", networks={"front": "10.1.0.2"})
    assert shown(made)[0][2] == "192.168.1.102:10000"
    assert shown(made, msgspec.structs.replace(RULES, internal=True))[0][2] == "10.1.0.2:6379"


def test_a_container_on_anothers_network_is_reached_by_that_one():
    pod = container(id="pod", name="pod", published=["8080:80"])
    side = container(id="side", name="side", exposed=["80", "81"], network_mode="container:pod", networks={})
    side = msgspec.structs.replace(side, published={})
    found = services(side, others=[pod])
    assert [f"{s.place.address}:{s.place.port}" for s in found] == ["192.168.1.102:8080", "172.17.0.2:81"]
    assert all("does not run" in str(s.fault) for s in services(side))


@pytest.mark.parametrize(
    ("fields", "network", "reason"),
    [
        ({"networks": {"a": "10.0.0.2", "b": "10.1.0.2"}}, "", "on 2 networks: set `network`"),
        ({"networks": {"a": "10.0.0.2"}}, "b", "not on the network that is set"),
        ({"networks": {"none": ""}}, "", "no address on its network"),
        ({"networks": {}}, "", "no address on its network"),
    ],
)
def test_an_address_that_cannot_be_chosen_leaves_the_instance_out(fields, network, reason):
    made = container(exposed=["80"], env=env(NAME="web"), **fields)
    rules = msgspec.structs.replace(RULES, internal=True, network=network)
    answer = select(offer(services(made, rules), node=NODE), Query(kind=Kind.SERVICE, name="web"))
    assert answer.value == ()
    assert reason in answer.bad[0].reason


def test_a_label_that_holds_no_address_leaves_the_instance_out_and_is_not_repeated():
    made = container(**REDIS, labels={"ip": "8.8.8.8;include x"})
    rules = msgspec.structs.replace(RULES, use_ip_from_label="ip")
    answer = select(offer(services(made, rules), node=NODE), Query(kind=Kind.SERVICE, name="redis"))
    assert answer.value == ()
    assert "include" not in answer.bad[0].reason


def test_two_containers_that_claim_one_id_are_not_two_instances():
    one, two = (container(**REDIS, id=name, name=name, env=env(ID="same")) for name in ("a", "b"))
    found = offer([*services(one), *services(two)], node=NODE)
    assert len(found.instances["redis"]) == 1
    assert "same id" in found.bad[0].reason


LABELS = Labels(name="app", port="app.port", tags="app.tags", weight="w", network="net", enable="on", meta="app.meta.")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({**REDIS, "labels": {"app": "db"}}, ("db", "192.168.1.102:10000", (), {}, 1, None)),
        ({**REDIS, "labels": {}}, None),
        ({**REDIS, "labels": {"app": "db", "on": "False"}}, None),
        (
            {**NGINX, "labels": {"app": "web", "app.port": "443", "app.tags": "b, a", "w": "7", "app.meta.x": "1"}},
            ("web", "192.168.1.102:4443", ("a", "b"), {"x": "1"}, 7, None),
        ),
        ({**NGINX, "labels": {"app": "web"}}, ("web", ":0", (), {}, 1, "it has 2 ports: name one by a label")),
        (
            {**REDIS, "labels": {"app": "web", "app.port": "80"}},
            ("web", ":0", (), {}, 1, "it has no such port that can be reached"),
        ),
        ({"labels": {"app": "web"}}, ("web", ":0", (), {}, 1, "it has no port that can be reached")),
        (
            {**REDIS, "labels": {"app": "db", "w": "0"}},
            ("db", "192.168.1.102:10000", (), {}, 1, "weight is no integer from 1 to 65535"),
        ),
    ],
)
def test_labels_of_ones_own_say_what_a_container_is(fields, expected):
    made = container(**fields)
    found = [
        (s.name, f"{s.place.address}:{s.place.port}", s.tags, s.meta, s.weight, s.fault)
        for s in labels.services(made, {made.id: made}, RULES, labels=LABELS, status="passing")
    ]
    assert found == ([expected] if expected else [])


def test_the_network_that_a_label_names_goes_before_the_catalogs():
    made = container(exposed=["80"], networks={"a": "10.0.0.2", "b": "10.1.0.2"}, labels={"app": "web", "net": "b"})
    rules = msgspec.structs.replace(RULES, internal=True, network="a")
    (found,) = labels.services(made, {}, rules, labels=LABELS, status="passing")
    assert found.place.address == "10.1.0.2"


@pytest.mark.parametrize(
    ("fields", "was_healthy", "status"),
    [
        ({}, False, "passing"),
        ({"health": "starting"}, False, "critical"),
        ({"health": "starting"}, True, "passing"),
        ({"health": "healthy"}, True, "passing"),
        ({"health": "unhealthy"}, True, "critical"),
        ({"paused": True}, False, "critical"),
        ({"paused": True, "health": "healthy"}, True, "critical"),
    ],
)
def test_health_becomes_a_status(fields, was_healthy, status):
    assert status_of(container(**fields), was_healthy=was_healthy) == status


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (Query(kind=Kind.KEY, name="a"), "holds no keys"),
        (Query(kind=Kind.SERVICE, name="a", near="_agent"), "`near`"),
        (Query(kind=Kind.SERVICE, name="a", filter="x"), "`filter`"),
        (Query(kind=Kind.SERVICE, name="a", dc="dc2"), "only datacenter 'local'"),
    ],
)
def test_what_an_engine_does_not_know_is_refused(query, reason):
    with pytest.raises(Refused, match=reason):
        select(offer([], node=NODE), query)


def test_an_inspection_of_a_newer_engine_is_read_too():
    """API 1.52 has no address at the top of its network settings; podman writes null for what is empty."""
    body = msgspec.json.encode(
        {
            "Id": "c1",
            "Name": "/web",
            "State": {"Running": True, "StartedAt": "t", "Health": {"Status": "none"}},
            "Config": {"Image": "web", "Env": None, "Labels": None, "ExposedPorts": {"80/tcp": {}}},
            "HostConfig": {"NetworkMode": "front"},
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "::", "HostPort": "8080"}], "81/tcp": None, "82/tcp": []},
                "Networks": {"front": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}, "none": None},
            },
        }
    )
    made = inspected(body)
    assert made is not None
    assert (made.name, made.health, made.networks) == ("web", "", {"front": "fd00::2", "none": ""})
    assert made.published == {Port(80, "tcp"): Binding("::", 8080), Port(81, "tcp"): None, Port(82, "tcp"): None}
