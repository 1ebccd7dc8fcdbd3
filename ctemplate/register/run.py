"""From what the command line says to a running keeper: opens the engine and the registry, and closes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator

import msgspec

from ctemplate.catalog.consul.opener import locate
from ctemplate.catalog.hub import Hub
from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import CatalogError, ConfigError, Refused
from ctemplate.events import Emit, Notice, Warned
from ctemplate.observe.log import Log
from ctemplate.observe.systemd import Notifier
from ctemplate.pace import Backoff
from ctemplate.register.agent import Agent
from ctemplate.register.keeper import RETRY_SECONDS, Keeper, Registry
from ctemplate.register.plan import LeaveAlone, Report
from ctemplate.settings import CatalogSource, Consul

DONE, DATA_MISSING, DIFFERENT = 0, 3, 5
"""The exit codes of `-dry`, as those of templates (docs/operations.md)."""
DRY_SECONDS = 60.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    source: str = "docker://"
    target: str = "consul://"
    consul: Consul
    host: str = ""
    """Empty: this machine's name."""
    ip: str = ""
    """Empty: the address of the agent's machine, or this machine's on the way to etcd."""
    internal: bool = False
    explicit: bool = False
    network: str = ""
    use_ip_from_label: str = ""
    adopt: bool = False
    grace: float = 60.0
    dry: bool = False
    log_level: str = "info"
    log_format: str = "text"


def run(order: Order) -> int:
    """Keep the registry until SIGTERM, or show what would be done, and return the exit code. Raises `ConfigError`."""
    return asyncio.run(_run(order))


async def _run(order: Order) -> int:
    emit = Log(level=order.log_level, json=order.log_format == "json")
    host = order.host or socket.gethostname()
    if not order.source.startswith("docker"):
        raise ConfigError("-from: expected an engine, docker:// or docker+tcp://host:2376")
    registry = _registry(order, host, emit=emit)
    notifier = Notifier(os.environ)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with _until(stopping) as stopped:
            address = order.ip or await _address(registry, emit=emit, patient=not order.dry)
            hub = Hub({"default": open_catalog(_source(order, host, address), order.consul, emit=emit)}, emit=emit)
            keeper = Keeper(hub, registry, host=host, adopt=order.adopt, grace=order.grace, emit=emit)
            watching = asyncio.create_task(hub.run(), name="hub")
            try:
                if order.dry:
                    return await _show(keeper, hub, emit=emit)
                emit(Notice(message=f"{host}: containers of {order.source} become services of {registry.describe()}"))
                notifier.ready("keeping the registry equal to the engine")
                await keeper.run()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        if stopped:
            notifier.stopping()
            emit(Notice(message="ended; every registration stays"))
        return DONE
    finally:
        registry.close()


@contextlib.asynccontextmanager
async def _until(stopping: asyncio.Event) -> AsyncIterator[list[bool]]:
    """Cut the block short when `stopping` is set; what is yielded is true then."""
    here = asyncio.current_task()
    stopped: list[bool] = []

    async def cut() -> None:
        await stopping.wait()
        stopped.append(True)
        if here is not None:
            here.cancel()

    cutting = asyncio.create_task(cut(), name="wait for SIGTERM")
    try:
        yield stopped
    except asyncio.CancelledError:
        if not stopped or here is None or here.uncancel():
            raise
    finally:
        cutting.cancel()


def _registry(order: Order, host: str, *, emit: Emit) -> Registry:
    scheme = order.target.partition(":")[0]
    if scheme in ("etcd", "etcd+https"):
        from ctemplate.catalog.etcd.opener import open_client
        from ctemplate.register.etcd import EtcdRegistry

        client, prefix = open_client(CatalogSource(name="-to", url=order.target), emit=emit)
        return EtcdRegistry(client, prefix=prefix, host=host)
    if not scheme.startswith("consul"):
        raise ConfigError(f"-to: {scheme!r} is no registry; expected consul://host:port or etcd://host:port/prefix")
    endpoints, consul = locate(CatalogSource(name="-to", url=order.target), order.consul)
    if len(endpoints) > 1:
        raise ConfigError("-to: expected one address: registrations belong to the agent that took them")
    return Agent(endpoints[0], consul)


def _source(order: Order, host: str, address: str) -> CatalogSource:
    options = {
        "host": host,
        "ip": order.ip,
        "internal": order.internal,
        "explicit": order.explicit,
        "network": order.network,
        "use_ip_from_label": order.use_ip_from_label,
        "host_address": address,
    }
    return CatalogSource(
        name="-from", url=order.source, options={key: value for key, value in options.items() if value}
    )


async def _address(registry: Registry, *, emit: Emit, patient: bool) -> str:
    """Ask the agent for its machine's address, until it answers."""
    backoff = Backoff(*RETRY_SECONDS)
    told = False
    while True:
        try:
            return await registry.address()
        except CatalogError as fault:
            if not patient or isinstance(fault, Refused):
                raise
            if not told:
                emit(Warned(message=f"{registry.describe()} does not say its address yet: {fault}"))
            told = True
            await asyncio.sleep(backoff.next(random=random.random()))  # noqa: S311  # jitter, no secret


async def _show(keeper: Keeper, hub: Hub, *, emit: Emit) -> int:
    """Print what would be done: 0 nothing, 5 something, 3 when the engine does not answer."""
    hub.want({keeper.query})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRY_SECONDS):
            while keeper.query not in hub.snapshot.answers:
                failure = hub.snapshot.failures.get(keeper.query)
                if failure is not None:
                    emit(Warned(message=f"the engine cannot be read: {failure.reason}"))
                    return DATA_MISSING
                await hub.next()
    actions = await keeper.actions()
    if actions is None:
        return DATA_MISSING
    for action in actions:
        sys.stdout.write(f"{action}\n")
    changes = [a for a in actions if not isinstance(a, LeaveAlone) and not (isinstance(a, Report) and not a.changed)]
    return DIFFERENT if changes else DONE
