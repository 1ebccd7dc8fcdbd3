"""etcd as the registry: keys as Registrator writes them, under a lease that is this machine's. It decides nothing.

    PREFIX/SERVICE/ID = ip:port          ID is HOST:CONTAINER:PORT, `:udp` at the end

The layout has no room for tags, meta or checks. So what is not healthy is not there at all, and what is ours is told by
the lease, whose id follows from the machine's name: it is the same after a restart. A machine that is gone for
`LEASE_SECONDS` takes its keys along.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping

import msgspec

from ctemplate.catalog.etcd import gateway
from ctemplate.catalog.etcd.client import Client
from ctemplate.catalog.etcd.gateway import Span
from ctemplate.catalog.layout import host_and_port
from ctemplate.errors import Refused, Unavailable
from ctemplate.model import PASSING
from ctemplate.register.plan import Action, Deregister, Present, Register
from ctemplate.register.registration import OWNER, Registration

LEASE_SECONDS = 600


class _Lease(msgspec.Struct, rename={"seconds": "TTL"}):
    seconds: int = 0
    """Left; 0: there is none."""


class _Kept(msgspec.Struct):
    result: _Lease


_KEPT = msgspec.json.Decoder(_Kept, strict=False)


class EtcdRegistry:
    """The keys of one prefix, of which those under the lease of `host` are ours."""

    def __init__(self, client: Client, *, prefix: str, host: str) -> None:
        """`prefix` ends with a slash where it is not empty."""
        self._client = client
        self._prefix = prefix
        self._host = host
        # A lease's id is a positive number of 63 bits.
        self._lease = int.from_bytes(hashlib.blake2b(f"ctemplate {host}".encode(), digest_size=8).digest()) >> 1 or 1

    def describe(self) -> str:
        """Where it is."""
        return f"etcd at {self._client.peers.describe()}"

    def close(self) -> None:
        """Drop what is open; the keys stay until the lease ends."""
        self._client.peers.close()

    async def address(self) -> str:
        """Return this machine's address on the way to etcd. Raises `Refused` where the others cannot reach that."""
        endpoint = self._client.peers.endpoints[0]
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as way:  # connecting a datagram socket sends nothing
                way.connect((endpoint.host, endpoint.port))
                address = str(way.getsockname()[0])
        except OSError as fault:
            raise Unavailable(f"{endpoint}: {fault.strerror or fault}") from fault
        if address.startswith("127.") or address == "::1":
            raise Refused(
                f"{endpoint} is on this machine, which does not tell by which address others reach it: set -ip"
            )
        return address

    def holdable(self, wanted: Registration) -> Registration | None:
        """Return what of a registration is written; None while its HEALTHCHECK is not passing."""
        if wanted.health not in ("", PASSING):
            return None
        return msgspec.structs.replace(wanted, tags=(), meta={OWNER: self._host}, check=None, health="")

    async def read(self) -> Mapping[str, Present]:
        """Return every service of the prefix, by id, and keep the lease alive. Raises `CatalogError`."""
        await self._keep_lease()
        found: dict[str, Present] = {}
        pairs, _ = await self._client.read(Span.below(self._prefix))
        for pair in pairs:
            name, slash, id_ = pair.key.decode(errors="replace").removeprefix(self._prefix).partition("/")
            place = host_and_port(pair.value.decode(errors="replace"))
            if slash and id_ and place is not None:
                meta = {OWNER: self._host} if pair.lease == self._lease else {}
                found[id_] = Present(id=id_, name=name, address=place[0], port=place[1], meta=meta)
        return found

    async def do(self, action: Action) -> None:
        """Do one action. Raises `CatalogError`."""
        match action:
            case Register(wanted):
                address = f"[{wanted.address}]" if ":" in wanted.address else wanted.address
                body = gateway.put_request(
                    self._key(wanted.name, wanted.id), f"{address}:{wanted.port}".encode(), lease=self._lease
                )
                await self._client.change("/v3/kv/put", body)
            case Deregister(present):
                body = gateway.delete_request(self._key(present.name, present.id))
                await self._client.change("/v3/kv/deleterange", body)
            case _:
                pass  # no check whose status could be told, and nothing is to be done where it is left alone

    def _key(self, name: str, id_: str) -> bytes:
        return f"{self._prefix}{name}/{id_}".encode()

    async def _keep_lease(self) -> None:
        """Renew the lease, or take it anew: it ended while we were away, and its keys with it."""
        reply = await self._client.change("/v3/lease/keepalive", json.dumps({"ID": str(self._lease)}).encode())
        try:
            kept = _KEPT.decode(reply.body.strip().splitlines()[0])
        except (msgspec.DecodeError, IndexError) as fault:
            raise Unavailable(f"{reply.endpoint}/v3/lease/keepalive: the answer is none of a lease") from fault
        if not kept.result.seconds:
            request = {"ID": str(self._lease), "TTL": str(LEASE_SECONDS)}
            await self._client.change("/v3/lease/grant", json.dumps(request).encode())
