"""`ctemplate register` between a real Docker engine and a real Consul agent."""

from __future__ import annotations

import signal
import socket

import pytest

HOST = socket.gethostname()


@pytest.fixture
def register(ctemplate, docker):
    """`register(agent, *flags)`: a running `ctemplate register` between the shared engine and `agent`."""

    def start(agent, *flags, run=False):
        words = ["register", "-from", docker.url, "-to", f"consul://{agent.address}", *flags]
        return (ctemplate.run if run else ctemplate)(*words)

    return start


def services(agent):
    return agent.get("/v1/agent/services")


def ports(agent):
    return {id_: entry["Port"] for id_, entry in services(agent).items()}


def statuses(agent):
    return {id_: check["Status"] for id_, check in agent.get("/v1/agent/checks").items()}


def web(docker, name, port, **fields):
    docker.run(name, env={"SERVICE_NAME": "web"} | fields.pop("env", {}), published={"80/tcp": port}, **fields)


def test_containers_become_services_and_vanish_with_them(register, docker, consul, eventually):
    consul.register_local("other", port=1)
    register(consul)
    web(docker, "w1", 8001, env={"SERVICE_TAGS": "b,a", "SERVICE_REGION": "eu", "SERVICE_CHECK_TCP": "true"})
    eventually(lambda: f"{HOST}:w1:80" in services(consul))
    entry = services(consul)[f"{HOST}:w1:80"]
    assert (entry["Service"], entry["Address"], entry["Port"], entry["Tags"]) == ("web", "127.0.0.1", 8001, ["a", "b"])
    assert entry["Meta"] == {"region": "eu", "check_tcp": "true", "ctemplate-owner": HOST}
    assert statuses(consul)[f"service:{HOST}:w1:80"] == "critical"  # Consul's own, until its first check
    docker.remove("w1")
    eventually(lambda: set(services(consul)) == {"other"})


def test_a_health_check_is_a_ttl_check_that_follows_it(register, docker, consul, eventually):
    register(consul)
    web(docker, "w1", 8001, health="test -e /tmp/well")
    check = f"docker-health:{HOST}:w1:80"
    eventually(lambda: statuses(consul).get(check) == "critical")
    docker.execute("w1", "/bin/busybox", "touch", "/tmp/well")
    eventually(lambda: statuses(consul)[check] == "passing")
    docker.act("w1", "pause")
    eventually(lambda: statuses(consul)[check] == "critical")
    docker.act("w1", "unpause")
    eventually(lambda: statuses(consul)[check] == "passing")


def test_its_own_death_leaves_nothing_stale_and_removes_nothing_live(register, docker, consul, eventually):
    web(docker, "stays", 8001)
    web(docker, "goes", 8002)
    first = register(consul)
    eventually(lambda: len(services(consul)) == 2)
    index = services(consul)[f"{HOST}:stays:80"]
    first.kill()
    docker.remove("goes")
    assert len(services(consul)) == 2
    second = register(consul)
    eventually(lambda: ports(consul) == {f"{HOST}:stays:80": 8001})
    assert second.stop() == 0
    assert "stays" not in second.text.replace("every registration stays", "")
    assert services(consul)[f"{HOST}:stays:80"] == index


def test_a_signal_ends_it_and_deregisters_nothing(register, docker, consul, eventually):
    web(docker, "w1", 8001)
    for number in (signal.SIGTERM, signal.SIGINT):
        running = register(consul)
        running.wait_for("become services of")
        eventually(lambda: len(services(consul)) == 1)
        assert running.stop(number) == 0
        assert "ended; every registration stays" in running.text
        assert len(services(consul)) == 1


def test_an_agent_that_lost_its_state_is_told_again(register, docker, make_consul, eventually):
    agent = make_consul()
    web(docker, "w1", 8001)
    running = register(agent)
    eventually(lambda: len(services(agent)) == 1)
    agent.kill()
    web(docker, "w2", 8002)
    running.wait_for("is away")
    agent.start()
    eventually(lambda: ports(agent) == {f"{HOST}:w1:80": 8001, f"{HOST}:w2:80": 8002}, 40)
    running.wait_for("is back")


def test_the_end_of_the_engine_deregisters_nothing_for_the_grace(register, docker, consul, eventually):
    web(docker, "back", 8001, restart=True)
    web(docker, "gone", 8002)
    running = register(consul, "-grace", "3s")
    eventually(lambda: len(services(consul)) == 2)
    docker.kill()
    running.wait_for("docker")
    docker.start()
    running.wait_for("nothing is deregistered for 3s", timeout=30)
    assert len(services(consul)) == 2
    eventually(lambda: ports(consul) == {f"{HOST}:back:80": 8001}, 30)
    assert running.process.poll() is None


def test_a_dry_run_says_what_it_would_do_and_does_nothing(register, docker, consul, eventually):
    web(docker, "w1", 8001)
    done = register(consul, "-dry", run=True)
    assert (done.code, done.out) == (5, f"register web {HOST}:w1:80 at 127.0.0.1:8001: new\n")
    assert services(consul) == {}
    running = register(consul)
    eventually(lambda: len(services(consul)) == 1)
    running.stop()
    assert register(consul, "-dry", run=True).code == 0


def test_what_registrator_left_is_taken_over_only_when_asked_and_its_stale_services_go(
    register, docker, consul, eventually
):
    web(docker, "w1", 8001)
    for id_, port in ((f"{HOST}:w1:80", 8001), (f"{HOST}:old:80", 8009), ("another:w1:80", 8001)):
        consul.put("/v1/agent/service/register", {"ID": id_, "Name": "web", "Port": port, "Address": "127.0.0.1"})
    refused = register(consul, "-dry", run=True)
    assert refused.code == 0
    assert "left alone" in refused.out
    register(consul, "-adopt")
    eventually(lambda: set(services(consul)) == {f"{HOST}:w1:80", "another:w1:80"})
    eventually(lambda: services(consul)[f"{HOST}:w1:80"]["Meta"] == {"ctemplate-owner": HOST})


def test_a_user_of_registrator_finds_the_same_services(register, docker, consul, eventually):
    """The examples of its own documentation, on real containers, in the words of Consul's agent."""
    common = {"exposed": ["9/tcp"]}  # not published: no service, and it does not count
    docker.run("redis.0", published={"6379/tcp": 10000}, **common)
    meta = {"SERVICE_NAME": "db", "SERVICE_TAGS": "master,backups", "SERVICE_REGION": "us2"}
    docker.run("redis.1", published={"6379/tcp": 10001}, env=meta)
    docker.run("redis.2", published={"6379/tcp": 10002}, labels=meta)
    docker.run("nginx.0", published={"443/tcp": 4443, "80/tcp": 8000})
    named = {"SERVICE_443_NAME": "https", "SERVICE_443_ID": "https.12345", "SERVICE_443_SNI": "enabled"}
    named |= {"SERVICE_80_NAME": "http", "SERVICE_TAGS": "www"}
    docker.run("nginx.1", published={"443/tcp": 4444, "80/tcp": 8001}, env=named)
    docker.run("dns", published={"53/udp": 5353}, env={"SERVICE_NAME": "dns", "SERVICE_TAGS": "a\\,b"})
    docker.run("ignored", published={"80/tcp": 8002}, env={"SERVICE_IGNORE": "yes"})
    docker.make_network("front", "172.31.20.0/24")
    docker.run("user", published={"80/tcp": 8003}, network="front")  # Registrator: the container's address, our port
    register(consul)
    expected = {
        f"{HOST}:redis.0:6379": ("box", 10000, [], {}),
        f"{HOST}:redis.1:6379": ("db", 10001, ["backups", "master"], {"region": "us2"}),
        f"{HOST}:redis.2:6379": ("db", 10002, ["backups", "master"], {"region": "us2"}),
        f"{HOST}:nginx.0:443": ("box-443", 4443, [], {}),
        f"{HOST}:nginx.0:80": ("box-80", 8000, [], {}),
        "https.12345": ("https", 4444, ["www"], {"sni": "enabled"}),
        f"{HOST}:nginx.1:80": ("http", 8001, ["www"], {}),
        f"{HOST}:dns:53:udp": ("dns", 5353, ["a,b", "udp"], {}),
        f"{HOST}:user:80": ("box", 8003, [], {}),
    }
    eventually(lambda: len(services(consul)) == len(expected))
    found = {
        id_: (e["Service"], e["Port"], e["Tags"], {k: v for k, v in e["Meta"].items() if k != "ctemplate-owner"})
        for id_, e in services(consul).items()
    }
    assert found == expected
    assert {entry["Address"] for entry in services(consul).values()} == {"127.0.0.1"}  # the agent's own


def test_flags_say_which_address_is_registered(register, docker, consul, eventually):
    docker.make_network("front", "172.31.20.0/24")
    docker.run(
        "w1", env={"SERVICE_NAME": "web"}, labels={"vip": "10.7.7.7/32"}, published={"80/tcp": 8001}, network="front"
    )
    docker.run("unnamed", published={"80/tcp": 8002})
    for flags, expected in (
        (("-ip", "10.0.0.9", "-explicit"), "10.0.0.9:8001"),
        (("-internal", "-explicit", "-network", "front"), "172.31.20.2:80"),
        (("-use-ip-from-label", "vip", "-explicit"), "10.7.7.7:8001"),
    ):
        running = register(consul, *flags)
        eventually(lambda: [f"{e['Address']}:{e['Port']}" for e in services(consul).values()] == [expected])  # noqa: B023
        running.stop()


def test_a_token_that_may_not_register_is_told_what_it_needs(register, docker, make_consul):
    master = "b1gs33cr3t-0000-0000-0000-000000000000"
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": master}}
    agent = make_consul(config={"acl": acl, "primary_datacenter": "dc1"}, token=master)
    running = register(agent, "-ip", "127.0.0.1")
    web(docker, "w1", 8001)
    assert 'service_prefix "" { policy = "write" }' in running.wait_for("403")
