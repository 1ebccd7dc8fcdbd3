"""The servers that the other live tests stand on do what their names say."""

from __future__ import annotations

import subprocess

from standstill import running_threads


def test_consul_takes_registrations_and_status(consul):
    consul.register("web", id="web-1", port=8001, tags=["http"], status="passing")
    consul.set_status("web-1", "critical")

    (entry,) = consul.get("/v1/health/service/web")

    assert entry["Service"]["Port"] == 8001
    assert [check["Status"] for check in entry["Checks"]] == ["critical"]


def test_consul_is_empty_again_for_the_next_test(consul):
    assert set(consul.get("/v1/catalog/services")) == {"consul"}


def test_a_paused_consul_has_no_thread_left_that_could_answer(consul):
    for _ in range(20):
        consul.pause()
        running = running_threads(consul.pid)
        consul.resume()
        consul.get("/v1/agent/self")  # it goes on, and its threads are up again

        assert running == []
        assert running_threads(consul.pid)


def test_consul_with_a_data_directory_remembers_over_a_kill(make_consul):
    consul = make_consul(data_dir=True)
    consul.register("web", port=8001)
    consul.kill()
    consul.start()

    assert [entry["ServicePort"] for entry in consul.get("/v1/catalog/service/web")] == [8001]


def test_nginx_serves_a_backend_with_new_workers_after_a_reload(make_nginx, make_backend, eventually):
    backend = make_backend("one")
    nginx = make_nginx()
    site = nginx.conf_d / "app.conf"
    site.write_text(
        f"server {{ listen 127.0.0.1:{nginx.port}; location / {{ proxy_pass http://{backend.address}; }} }}"
    )
    nginx.start()
    before = nginx.workers()

    subprocess.run(nginx.reload_command, shell=True, check=True)

    eventually(lambda: len(nginx.workers() - before) == 2)
    assert nginx.get() == (200, "one")


def test_nginx_as_daemon_is_stopped_by_its_pid(make_nginx):
    nginx = make_nginx(daemon=True)
    nginx.start()
    assert nginx.running
    nginx.stop()
    assert not nginx.running
