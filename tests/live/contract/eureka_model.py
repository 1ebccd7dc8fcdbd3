"""A fault model of a Eureka server: what a real one does only at the wrong moment, on demand.

It speaks `GET …/apps` in JSON as Spring's does, and by its switches as Netflix's own and as a broken one does.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from typing import Any

Instance = dict[str, Any]


def instance(app: str, id: str, listens: int, /, **fields: Any) -> Instance:
    """One registration as a Spring client sends it, `fields` over it."""
    return {
        "instanceId": id,
        "hostName": f"{id}.example",
        "app": app.upper(),
        "ipAddr": "127.0.0.1",
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": listens, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90, "evictionTimestamp": 0},
        "metadata": {"@class": "java.util.Collections$EmptyMap"},
        "vipAddress": app,
        "lastUpdatedTimestamp": "1700000000000",
        "actionType": "ADDED",
        **fields,
    }


def body(instances: list[Instance], *, single: bool = False, hash: str | None = None) -> bytes:
    """`/apps` of these instances. `single`: a list of one is the object alone, an empty one is left out."""
    apps: dict[str, list[Instance]] = {}
    counts: dict[str, int] = {}
    for one in instances:
        apps.setdefault(one["app"], []).append(one)
        counts[one["status"]] = counts.get(one["status"], 0) + 1
    counted = "".join(f"{status}_{count}_" for status, count in sorted(counts.items()))
    members: dict[str, Any] = {"versions__delta": "1", "apps__hashcode": counted if hash is None else hash}
    form = _alone if single else list
    found: Any = form([{"name": app, "instance": form(its)} for app, its in apps.items()])
    if apps or not single:
        members["application"] = found
    return json.dumps({"applications": members}).encode()


def _alone(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


class EurekaModel:
    """One server. Attributes are its switches; they hold from the next request on."""

    def __init__(self, port: int = 0) -> None:
        self.instances: dict[str, Instance] = {}
        self.single = False
        """Write a list of one as the object alone, and an empty list not at all."""
        self.hash: str | None = None
        """What to say instead of the true hash."""
        self.status = 200
        """403 while it warms up; any other is a fault."""
        self.junk: bytes | None = None
        """A body instead of the listing."""
        self.login = ""
        """`user:password` that it wants."""
        self.requests: list[str] = []
        self._cache: bytes | None = None
        self._thawed = threading.Event()
        self._thawed.set()
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = port
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, app: str, id: str, listens: int, /, **fields: Any) -> None:
        self.instances[id] = instance(app, id, listens, **fields)

    def remove(self, id: str) -> None:
        del self.instances[id]

    def cache(self) -> None:
        """Say from now on what is said now, as the response cache does for 30 s."""
        self._cache = self._listing()

    def uncache(self) -> None:
        self._cache = None

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def start(self) -> None:
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                model.requests.append(self.path)
                model._thawed.wait()
                status, content = model._answer(self.path, self.headers.get("Authorization", ""))
                with contextlib.suppress(OSError):  # whoever asked is gone
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def stop(self) -> None:
        self.thaw()
        if self._server is not None:
            self.kill()

    def _answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        if self.login and authorization != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            return 401, b""
        if self.status != 200:
            return self.status, b""
        if path != "/eureka/apps":
            return 404, b"{}"
        return 200, self.junk or self._cache or self._listing()

    def _listing(self) -> bytes:
        return body(list(self.instances.values()), single=self.single, hash=self.hash)
