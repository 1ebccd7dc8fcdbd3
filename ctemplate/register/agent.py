"""The local Consul agent as the registry: what it holds, and how that is changed. It decides nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec

from ctemplate.catalog.consul.faults import fault_of
from ctemplate.catalog.consul.token import Token
from ctemplate.catalog.http import Endpoint, Reply
from ctemplate.catalog.peers import Peers
from ctemplate.catalog.tls import Tls
from ctemplate.errors import Refused, Unavailable
from ctemplate.register.plan import Action, Deregister, LeaveAlone, Present, Register, Report
from ctemplate.register.registration import TTL, Registration
from ctemplate.settings import Consul

T = TypeVar("T")

ASK_SECONDS = 10.0
RULE = 'service_prefix "" { policy = "write" } and agent_prefix "" { policy = "read" }'
"""What a token needs; narrower where the names of the services are known."""


class _Service(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID")
    service: str
    port: int = 0
    address: str = ""
    tags: list[str] | None = None
    meta: dict[str, str] | None = None
    kind: str = ""


class _Check(msgspec.Struct, rename="pascal"):
    check_id: str = msgspec.field(name="CheckID")
    status: str
    service_id: str = msgspec.field(name="ServiceID", default="")


class _Member(msgspec.Struct, rename="pascal"):
    addr: str


class _Self(msgspec.Struct, rename="pascal"):
    member: _Member


class Agent:
    """One agent: registrations are an agent's own, so there is no other to turn to."""

    def __init__(self, endpoint: Endpoint, consul: Consul) -> None:
        self._consul = consul
        self._token = Token(consul.token, consul.token_file)
        tls = Tls(
            ca_file=consul.ca_file,
            client_cert=consul.client_cert,
            client_key=consul.client_key,
            verify=consul.ssl_verify,
            server_name=consul.tls_server_name,
        )
        self._peers = Peers((endpoint,), tls=tls)

    def describe(self) -> str:
        """Where it is."""
        return f"the Consul agent at {self._peers.describe()}"

    def close(self) -> None:
        """Drop what is open."""
        self._peers.close()

    async def address(self) -> str:
        """Return the address by which the other machines know the agent's."""
        return (await self._read("/v1/agent/self", _Self)).member.addr

    def holdable(self, wanted: Registration) -> Registration | None:
        """All of it."""
        return wanted

    async def read(self) -> Mapping[str, Present]:
        """Return every service of the agent, by id."""
        services = await self._read("/v1/agent/services", dict[str, _Service])
        checks = await self._read("/v1/agent/checks", dict[str, _Check])
        of: dict[str, dict[str, str]] = {}
        for check in checks.values():
            of.setdefault(check.service_id, {})[check.check_id] = check.status
        return {
            service.id: Present(
                id=service.id,
                name=service.service,
                address=service.address,
                port=service.port,
                tags=tuple(sorted(service.tags or ())),
                meta=service.meta or {},
                checks=of.get(service.id, {}),
            )
            for service in services.values()
            if not service.kind  # a proxy is not what a container registers
        }

    async def do(self, action: Action) -> None:
        """Do one action. Raises `Refused` where the agent says no to this one, `Unavailable` where it is away."""
        match action:
            case Register(wanted):
                await self._put("/v1/agent/service/register?replace-existing-checks=true", _body(wanted))
            case Deregister(present):
                await self._put(f"/v1/agent/service/deregister/{quote(present.id, safe='')}")
            case Report(wanted):
                body = {"Status": wanted.health, "Output": "of the container's HEALTHCHECK"}
                await self._put(f"/v1/agent/check/update/{quote(wanted.health_id, safe='')}", body)
            case LeaveAlone():
                pass

    async def _put(self, target: str, body: object = None) -> None:
        await self._ask("PUT", target, msgspec.json.encode(body) if body else b"")

    async def _read(self, target: str, kind: type[T]) -> T:
        reply = await self._ask("GET", target, b"")
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except msgspec.DecodeError as fault:
            raise Unavailable(
                f"{reply.endpoint}{target}: the answer has not the shape of Consul's ({fault})"
            ) from fault

    async def _ask(self, method: str, target: str, body: bytes) -> Reply:
        headers = [("Accept", "application/json")]
        if token := self._token():
            headers.append(("X-Consul-Token", token))
        if self._consul.auth:
            headers.append(("Authorization", f"Basic {base64.b64encode(self._consul.auth.encode()).decode()}"))
        reply = await self._peers.ask(target, headers, timeout=ASK_SECONDS, method=method, body=body)
        if reply.status == 200:
            return reply
        if reply.status == 403:
            self._token.forget()
        fault = fault_of(reply, f"{reply.endpoint}{target.partition('?')[0]}", RULE)
        if reply.status in (404, 500) and method == "PUT":
            raise Refused(str(fault)) from None  # an unknown id: the next reading sees what there is
        raise fault


def _body(wanted: Registration) -> dict[str, object]:
    checks = [wanted.check] if wanted.check else []
    if wanted.health:
        named = {"CheckID": wanted.health_id, "Name": "HEALTHCHECK of the container"}
        checks.append({**named, "TTL": TTL, "Status": wanted.health})
    return {
        "ID": wanted.id,
        "Name": wanted.name,
        "Address": wanted.address,
        "Port": wanted.port,
        "Tags": wanted.tags,
        "Meta": wanted.meta,
        "Checks": checks,
    }
