"""`ctemplate register -to etcd://…`: containers of a real engine as keys of a real etcd, and back as a catalog."""

from __future__ import annotations

import base64
import socket

import pytest

HOST = socket.gethostname()


@pytest.fixture
def register(ctemplate, docker, etcd):
    """`register(*flags)`: a running `ctemplate register` between the engine and the prefix /apps."""

    def start(*flags, run=False):
        words = ["register", "-from", docker.url, "-to", f"etcd://{etcd.address}/apps", "-ip", "127.0.0.1", *flags]
        return (ctemplate.run if run else ctemplate)(*words)

    return start


def keys(etcd):
    """Key to value below /apps/."""
    found = etcd.ask("kv/range", key=_base64("/apps/"), range_end=_base64("/apps0")).get("kvs", [])
    return {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv["value"]).decode() for kv in found}


def _base64(text):
    return base64.b64encode(text.encode()).decode()


def web(docker, name, port, **fields):
    docker.run(name, env={"SERVICE_NAME": "web"}, published={"80/tcp": port}, **fields)


def test_containers_become_keys_that_the_catalog_reads_back(register, docker, etcd, ctemplate, eventually, tmp_path):
    etcd.put("/apps/web/elsewhere:w9:80", "10.0.0.9:80")
    register()
    web(docker, "w1", 8001)
    eventually(lambda: keys(etcd).get(f"/apps/web/{HOST}:w1:80") == "127.0.0.1:8001")
    (tmp_path / "t.j2").write_text('{% for i in service("web") %}{{ i.endpoint }}\n{% endfor %}')
    done = ctemplate.run(
        "-once", "-catalog", f"etcd://{etcd.address}/apps", "-template", f"{tmp_path}/t.j2:{tmp_path}/out"
    )
    assert done.code == 0, done.err
    assert sorted((tmp_path / "out").read_text().split()) == ["10.0.0.9:80", "127.0.0.1:8001"]
    docker.remove("w1")
    eventually(lambda: set(keys(etcd)) == {"/apps/web/elsewhere:w9:80"})


def test_a_container_that_is_not_healthy_is_not_there(register, docker, etcd, eventually):
    register()
    web(docker, "w1", 8001, health="test -e /tmp/well")
    web(docker, "w2", 8002)
    eventually(lambda: set(keys(etcd)) == {f"/apps/web/{HOST}:w2:80"})
    docker.execute("w1", "/bin/busybox", "touch", "/tmp/well")
    eventually(lambda: f"/apps/web/{HOST}:w1:80" in keys(etcd))


def test_its_own_death_leaves_nothing_stale_and_removes_nothing_live(register, docker, etcd, eventually):
    web(docker, "stays", 8001)
    web(docker, "goes", 8002)
    first = register()
    eventually(lambda: len(keys(etcd)) == 2)
    before = etcd.revision()
    first.kill()
    docker.remove("goes")
    second = register()
    eventually(lambda: set(keys(etcd)) == {f"/apps/web/{HOST}:stays:80"})
    assert etcd.revision() == before + 1  # one delete, and nothing written again
    assert second.stop() == 0
    assert len(keys(etcd)) == 1


def test_every_key_is_under_a_lease_of_ten_minutes_and_comes_back_after_its_end(register, docker, etcd, eventually):
    web(docker, "w1", 8001)
    running = register()
    eventually(lambda: len(keys(etcd)) == 1)
    (lease,) = etcd.ask("lease/leases")["leases"]
    told = etcd.ask("lease/timetolive", ID=lease["ID"])
    assert int(told["grantedTTL"]) == 600
    assert int(told["TTL"]) > 500
    etcd.ask("lease/revoke", ID=lease["ID"])
    assert keys(etcd) == {}
    web(docker, "w2", 8002)  # wakes it; otherwise it looks every half minute
    eventually(lambda: len(keys(etcd)) == 2)
    assert running.stop() == 0


def test_registrators_leftovers_are_taken_over_only_when_asked(register, docker, etcd, eventually):
    etcd.put(f"/apps/web/{HOST}:gone:80", "127.0.0.1:7")
    web(docker, "w1", 8001)
    first = register()
    eventually(lambda: len(keys(etcd)) == 2)
    first.stop()
    shown = register("-adopt", "-dry", run=True)
    assert (shown.code, "left over by Registrator" in shown.out) == (5, True), shown.err
    assert len(keys(etcd)) == 2
    register("-adopt")
    eventually(lambda: set(keys(etcd)) == {f"/apps/web/{HOST}:w1:80"})


def test_without_an_address_an_etcd_on_this_machine_asks_for_one(docker, etcd, ctemplate):
    done = ctemplate.run("register", "-dry", "-from", docker.url, "-to", f"etcd://{etcd.address}/apps")
    assert (done.code, "set -ip" in done.err) == (1, True), done.err
