"""`make run`: the main job on the file catalog, to play with.

Starts three tiny HTTP back ends, a real nginx on a free port and ctemplate between them, all below one work
directory, and ends all that it started at Ctrl-C. It needs no root and touches nothing outside that directory.
"""

from __future__ import annotations

import argparse
import http.client
import http.server
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

SERVICES = """\
# The catalog. Save a change here and watch nginx follow.
services:
  web:
    - {{address: 127.0.0.1, port: {ports[0]}, tags: [http]}}
    - {{address: 127.0.0.1, port: {ports[1]}, tags: [http]}}
    # A third one is up and waits for this line:
    # - {{address: 127.0.0.1, port: {ports[2]}, tags: [http]}}
"""

NGINX = """\
daemon off;
pid nginx.pid;
error_log error.log notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {{ listen 127.0.0.1:{port} default_server; return 404 "ctemplate has written no service of that name\\n"; }}
    include conf.d/*.conf;
}}
"""

SETTINGS = """\
catalog = "file:services.yaml"

[[template]]
source = "app.conf.j2"
destination = "nginx/conf.d/app.conf"
command = "{nginx} -p {run}/nginx/ -c {run}/nginx/nginx.conf -s reload"
vars = {{ listen = "127.0.0.1:{port}", domain = "localhost" }}
"""

WELCOME = """
  {url}  is nginx. Ask it a few times: curl {url}

  Now change, and save:
    {run}/services.yaml   the upstream follows: uncomment the third instance
    {run}/app.conf.j2     make it wrong: it is refused, and nginx goes on with what it has
  and read what was written: {run}/nginx/conf.d/app.conf

  Ctrl-C ends all of it.
"""


@contextmanager
def back_end() -> Iterator[int]:
    """Run a tiny HTTP server that answers with its port, and yield that."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"I am the instance on port {self.server.server_port}\n".encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, and end it by its process id."""
    # A session of its own: Ctrl-C reaches this script alone, which then ends things in their order.
    child = subprocess.Popen(command, start_new_session=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def free_port() -> int:
    """Return 8080, or what the system gives where that is taken."""
    for wanted in (8080, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def lay_out(run: Path, *, nginx: str, port: int, ports: list[int]) -> None:
    """Write the work directory anew; a service that an earlier run left there had other ports."""
    shutil.rmtree(run, ignore_errors=True)
    (run / "nginx/conf.d").mkdir(parents=True)
    (run / "nginx/tmp").mkdir()
    (run / "services.yaml").write_text(SERVICES.format(ports=ports))
    (run / "nginx/nginx.conf").write_text(NGINX.format(port=port))
    (run / "ctemplate.toml").write_text(SETTINGS.format(run=run, nginx=nginx, port=port))
    shutil.copy(ROOT / "templates/nginx-http.conf.j2", run / "app.conf.j2")


def is_served(port: int) -> bool:
    """Say whether nginx serves the service, by one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/", headers={"Host": "web.localhost"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def main() -> int:
    """Start everything, say what to do, and wait for Ctrl-C or for ctemplate's own end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nginx", default=shutil.which("nginx") or "/usr/sbin/nginx")
    parser.add_argument("--directory", type=Path, default=ROOT / "run")
    options = parser.parse_args()
    run, nginx = options.directory.resolve(), str(Path(options.nginx).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as started:
        ports = [started.enter_context(back_end()) for _ in range(3)]
        port = free_port()
        lay_out(run, nginx=nginx, port=port, ports=ports)
        started.enter_context(process(nginx, "-p", f"{run}/nginx/", "-c", f"{run}/nginx/nginx.conf"))
        arguments = ("-config", f"{run}/ctemplate.toml", "-state-dir", f"{run}/state")
        ctemplate = started.enter_context(process(sys.executable, "-m", "ctemplate", *arguments))
        deadline = time.monotonic() + 20
        while not is_served(port) and ctemplate.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if ctemplate.poll() is None:
            url = f"http://web.localhost:{port}/"
            shown = run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run
            print(WELCOME.format(url=url, run=shown), flush=True)
        return ctemplate.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nall that was started here has ended")
