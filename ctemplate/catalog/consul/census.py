"""Every wanted service kept current by few connections, however many services there are.

Changes are *noticed* by few parked polls, and what changed is *read* for itself:

    few nodes   two polls a node (`node_polls.py`) say which services changed
    otherwise   five sentinels (`sentinels.py`); a change of which they only say "somewhere" is found by
                reading every node, or every wanted service where those are fewer
    then        each service that changed is read by `/v1/health/service/NAME`

The last is what keeps upstreams whole: the answer on a service is one read of that service, at one moment.
Parts from several nodes make an answer only when everything is read at once, and then only for services of
which nothing changed meanwhile (`loading.py`): an instance that moves from a node not read yet to one already
read would be seen on neither.

Sentinels tell which checks do not pass. Those that do are half of what there is to read, and hardly any template prints
them: with sentinels the census is *lean* and answers without checks, until a template looks at some.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType

from ctemplate.catalog.consul import marks, polling, records
from ctemplate.catalog.consul.ailing import Ailing
from ctemplate.catalog.consul.auditing import AUDIT_SECONDS, Audit
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.dirt import Dirt, nodes_of
from ctemplate.catalog.consul.ledger import Ledger
from ctemplate.catalog.consul.loading import read_all
from ctemplate.catalog.consul.node_reads import READERS, checks_on, each, services_on, shaped
from ctemplate.catalog.consul.nodes import Nodes
from ctemplate.catalog.consul.polling import spread
from ctemplate.catalog.consul.questions import ALL_CHECKS, NODE_READ, UNTOLD, question
from ctemplate.catalog.consul.watch import read
from ctemplate.catalog.http import Reply
from ctemplate.errors import Refused, Unavailable
from ctemplate.events import Emit
from ctemplate.model import Answer, Kind, Query


class Census:
    """What is known of every wanted service, and of which nodes there are."""

    def __init__(
        self, client: Client, *, max_stale: float, emit: Emit, deserted: Callable[[], None] = lambda: None
    ) -> None:
        """`deserted` is called when the last who followed has left."""
        self._client = client
        self._max_stale = max_stale
        self.ledger = Ledger(wanted=self._wanted, deserted=deserted)
        self.dirt = Dirt()
        self.ailing = Ailing(marks.is_told)
        self.untold = Ailing(marks.is_untold)
        """Consul takes statuses that it does not document, which count as critical (`records.status_of`)."""
        self.lean = False
        """Whether instances come without their checks, which nobody has looked at."""
        self.stirred = asyncio.Event()
        """Set whenever there is something to read."""
        self.begun = asyncio.Event()
        """Set once all is followed; nothing is read before."""
        self.somewhere = asyncio.Event()
        """Set whenever an instance changed of which it is not known where."""
        self.written = asyncio.Event()
        """Set whenever a check was written of which it is not known where."""
        self.nodes = Nodes()
        self._audit = Audit(self, emit)
        self.indexes: dict[str, int] = {}
        """Path of each sentinel → the index up to which it is followed."""
        self.catch_up: Callable[[], Awaitable[int]] = _nobody
        """Hears all that sentinels have to tell of what happened before; returns the index of services since."""
        self.heard: dict[str, float] = {}
        """Path of each poll → when it last came back, in seconds since the epoch."""

    def start_anew(self) -> None:
        """Forget what earlier polls told: others are about to begin."""
        self.heard, self.indexes = {}, {}
        self.ailing, self.untold = Ailing(marks.is_told), Ailing(marks.is_untold)

    def begin(self) -> None:
        """Every poll has answered once, so that no change goes unnoticed from now on: read all that is wanted."""
        self.mark(self.ledger.names)
        self.begun.set()

    def read_checks(self) -> None:
        """Let instances come with their checks from now on."""
        if self.lean:
            self.lean = False
            self.untold.forget(ALL_CHECKS)  # each node's own are looked at from now on
            self.mark(self.ledger.names)

    def _wanted(self, name: str) -> None:
        if self.begun.is_set():  # or it is marked then, with all the others
            self.mark((name,))

    # -- what polls tell ---------------------------------------------------------------------------

    def mark(self, names: Iterable[str]) -> None:
        """Note services that changed; those that nobody wants are left out."""
        self.dirt.mark([name for name in names if name in self.ledger], now=time.monotonic())
        self.stirred.set()

    def mark_nodes(self, nodes: Set[str]) -> None:
        """Note that some nodes' own fields or checks changed, which is to say all services on them."""
        if not nodes:
            return
        nodes = {node.lower() for node in nodes}
        for node in nodes:
            self.dirt.mark_node(node, now=time.monotonic())
        self.mark(self.nodes.services_on(nodes))
        self.mark([name for name, answer in self.ledger.answers.items() if not nodes.isdisjoint(nodes_of(answer))])

    def mark_checks(self, checks: Set[marks.Check]) -> None:
        """Note that checks changed: of the nodes, of the services that they name, and of those whose they are.

        A check bears the name that its service had when it was written, and may go with that.
        """
        self.mark({check.service for check in checks} - {marks.NODE})
        self.mark_nodes({check.node for check in checks if check.service == marks.NODE})
        self.mark_ill(checks)

    def mark_ill(self, checks: Set[marks.Check]) -> None:
        """Note that the services changed which are ill by one of these checks, as far as is known."""
        places = {(check.node.lower(), check.service_id.lower()) for check in checks if check.service_id}
        self.mark(self.ledger.with_ill(places))

    def told_of_checks(self, path: str, checks: Iterable[marks.Check]) -> set[marks.Check]:
        """Take over what a poll told of checks; return those that do not pass and differ from what it told before."""
        changed = self.ailing.tell(path, checks, now=time.monotonic())
        self.mark(self.ailing.take_doubted())
        return changed

    def mark_somewhere(self, *, services: bool) -> None:
        """Note that some instance, or else some check, was written, nobody knows where."""
        if services:
            self.dirt.mark_services(now=time.monotonic())
            self.somewhere.set()
        else:
            self.dirt.mark_checks(now=time.monotonic())
            self.written.set()

    def current_at(self) -> float | None:
        """Return when everything was last known to be current, in seconds since the epoch; None if it never was."""
        if not self.begun.is_set() or not self.heard:
            return None
        return min(min(self.heard.values()), time.time() - time.monotonic() + self.dirt.since)

    # -- reading what changed ----------------------------------------------------------------------

    async def read_for_ever(self, *, by_node: bool) -> None:
        """Read whatever is marked, as it is marked; `by_node`: very many at once node by node."""
        await self.begun.wait()
        audit_at = time.monotonic() + spread(AUDIT_SECONDS)
        while True:
            self.stirred.clear()
            if not self.dirt.names:
                try:
                    async with asyncio.timeout(max(0.0, audit_at - time.monotonic())):
                        await self.stirred.wait()
                except TimeoutError:
                    await self._audit.run(by_node=by_node)
                    audit_at = time.monotonic() + spread(AUDIT_SECONDS)
                continue
            await self.read(self.dirt.take(), by_node=by_node)
            self.dirt.read()

    async def read(self, names: Mapping[str, float], *, by_node: bool) -> None:
        """Read services, each name with when what it is read for happened; `by_node`: very many node by node."""
        names = {name: since for name, since in names.items() if name in self.ledger}
        if by_node and len(names) > len(self.nodes) * (1 if self.lean else 2):
            await read_all(self, names)
        else:
            await self.read_each(names)

    async def read_each(self, names: Mapping[str, float]) -> None:
        """Read services one by one; each name with when what it is read for happened."""
        await each(names.items(), self._read_one)

    async def _read_one(self, item: tuple[str, float]) -> None:
        name, since = item
        asked, sent = question(Query(kind=Kind.SERVICE, name=name)), time.monotonic()
        try:
            reply = await self.fresh(asked.path, asked.rule, since)
            answer = read(asked, reply, [reply.body])
        except Refused as fault:
            self.ledger.refuse(name, fault)
            return
        self.put(name, answer, sent=sent, since=since)

    def put(self, name: str, answer: Answer, *, sent: float, since: float) -> None:
        """Note the complete answer on a service that was asked for at `sent`, for what happened at `since`."""
        self.hold_against_polls(name, answer, since=since)
        if self.nodes.suspect(name, answer, since=since):
            self.mark((name,))
        self.note(name, records.without_checks(answer) if self.lean else answer, sent=sent)

    def hold_against_polls(self, name: str, answer: Answer, *, since: float) -> None:
        """See that an answer is read again which says otherwise of checks than polls, or looks, do."""
        for told in (self.ailing, self.untold):
            if told.outdated(name, answer, since=since):
                self.mark((name,))

    def note(self, name: str, answer: Answer, *, sent: float) -> None:
        """Note an answer as it is told to those who follow."""
        if self.ledger.put(name, answer):
            self._audit.note(name)
        self.dirt.settle(name, answer, sent=sent, now=time.monotonic())

    # -- finding what changed ----------------------------------------------------------------------

    async def look_everywhere(
        self, *, services: bool = False, checks: bool = False, since: float, at_once: int = READERS
    ) -> None:
        """Compare every node with what was last seen there, and mark the services that differ."""

        async def look(node: str) -> None:
            if services:
                reply = await self.fresh(services_on(node), NODE_READ, since)
                with shaped(reply):
                    self.see_services(node, reply.body)
            if checks:
                reply = await self.fresh(checks_on(node), NODE_READ, since)
                with shaped(reply):
                    self.see_checks(node, reply.body)

        await each(self.nodes.in_turn, look, at_once=at_once)

    async def ask_for_untold(self, since: float) -> Reply:
        """Read the checks of which no sentinel tells, though they do not pass."""
        return await self.fresh(ALL_CHECKS, NODE_READ, since, params={"filter": UNTOLD})

    def told_untold(self, reply: Reply) -> None:
        """Mark the services whose checks of that kind differ, or may, and all beside them: names may be old ones."""
        if not self.lean:
            return  # each node's own are looked at since that was asked
        with shaped(reply):
            changed = self.untold.tell(ALL_CHECKS, marks.checks(reply.body), now=time.monotonic())
        self.mark(self.untold.take_doubted())
        self.mark({check.service for check in changed})
        self.mark_nodes({check.node for check in changed})

    def see_services(
        self, node: str, body: bytes, decoded: marks.OnNode | None = None, *, known: frozenset[str] = frozenset()
    ) -> None:
        """Compare what is registered on a node with what was; `known` are being read anyway.

        `decoded`: what `body` says, where somebody needs it anyway. A body that is known is not decoded here.
        """
        now = time.monotonic()
        if not self.nodes.is_known(node, services_on(node), body, now=now):
            found = marks.of_services(decoded or marks.services(body))
            self.mark(self.nodes.see_services(node, found, known=known, now=now))

    def see_checks(
        self,
        node: str,
        body: bytes,
        decoded: Sequence[marks.Check] | None = None,
        *,
        known: frozenset[str] = frozenset(),
    ) -> Sequence[marks.Check] | None:
        """Compare the checks on a node with what they were; `known` are being read anyway, `decoded` as above.

        Returns the checks; None where the same is said as last time, and nothing that was read since differs.
        """
        now = time.monotonic()
        if self.nodes.is_known(node, checks_on(node), body, now=now):
            return None
        checks = marks.checks(body) if decoded is None else decoded
        self.untold.tell(checks_on(node), checks, now=now)
        self.mark(self.untold.take_doubted())
        changed = self.nodes.see_checks(node, marks.of_checks(checks), known=known, now=now)
        if marks.NODE in changed:
            self.mark_nodes({node})
        self.mark(changed - {marks.NODE})
        return checks

    def see_nodes(self, nodes: marks.Marks, before: marks.Marks) -> None:
        """Take over the list of nodes; what was on one that is gone may be nowhere now."""
        self.mark_nodes(marks.differing(before, nodes) & before.keys())
        for node in before.keys() - nodes.keys():
            self.untold.forget(checks_on(node))
        self.mark(self.nodes.see_list(nodes.keys(), now=time.monotonic()))

    async def fresh(
        self, path: str, rule: str, since: float, params: Mapping[str, str] = MappingProxyType({})
    ) -> Reply:
        """Read `path` as it was at or after `since`, in monotonic seconds. Raises what `polling.fresh` raises."""
        reply = await polling.fresh(self._client, path, params, rule=rule, max_stale=self._max_stale, since=since)
        if reply.status != 200:
            raise Unavailable(f"{path}: {reply.status}, which Consul never answers here: is this Consul?")
        return reply


async def _nobody() -> int:
    """Where there are no sentinels."""
    return 0
