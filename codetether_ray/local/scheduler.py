"""Decides who may start, and where. Values and bookkeeping alone: who asks and looks is elsewhere.

The state of one run's admission, and of the actor that all runs of a cluster share.
"""

import itertools
from dataclasses import dataclass

from codetether_ray.core.errors import CodetetherError, OverLimitError
from codetether_ray.local.nodes import FLOOR_BYTES, Nodes, size
from codetether_ray.local.queue import Ask, Kind, Line, Queue
from codetether_ray.ports.admission import Need, Party, Rank
from codetether_ray.ports.host import Capacity


@dataclass(frozen=True, slots=True)
class Grant:
    """A ticket that was granted, on a node."""

    run_id: str
    ticket: str
    node: str
    largest_bytes: int = 0
    """The most that an agent in its place could be given."""


@dataclass(frozen=True, slots=True)
class _Held:
    need: Need
    node: str


class Scheduler:
    """Hands out permits: `decide` after anything has changed.

    Keeps true: reservations never exceed what a node has (but for those that somebody says to
    hold already); nothing is admitted that would leave a node less than its floor of memory free,
    except that one agent may always run; the first that waits for a node is not overtaken there;
    of several parties that want more than there is, none is left out.
    """

    def __init__(self, *, floor_bytes: int = FLOOR_BYTES) -> None:
        self._nodes = Nodes(floor_bytes)
        self._queue = Queue()
        self._held: dict[str, dict[str, _Held]] = {}

    @property
    def live(self) -> int:
        """How many permits are held."""
        return self._nodes.live

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._queue.waiting

    def see(self, capacity: Capacity) -> None:
        """Take what the nodes have now."""
        self._nodes.see(capacity)

    def join(self, party: Party) -> None:
        """A party comes, or its terms have changed."""
        self._queue.join(party)
        self._held.setdefault(party.run_id, {})

    def leave(self, run_id: str) -> None:
        """A party is gone: what it holds is given back, who waits for it waits no more."""
        for ticket in tuple(self._held.get(run_id, ())):
            self.release(run_id, ticket)
        self._queue.leave(run_id)
        self._held.pop(run_id, None)

    def ask(self, run_id: str, ticket: str, need: Need, rank: Rank, priority: int) -> bool:
        """Have one wait for a permit. A ticket that is known is left alone (False)."""
        line = self._line(run_id)
        is_new = ticket not in line.asks and ticket not in self._held[run_id]
        if is_new:
            self._queue.add(line, ticket, need, rank, priority)
        return is_new

    def is_waiting(self, run_id: str, ticket: str) -> bool:
        """Whether it waits for a permit now."""
        return ticket in self._line(run_id).asks

    def hold(self, run_id: str, ticket: str, need: Need, node: str) -> None:
        """Count what a party holds already, or must have at once, whether it fits or not."""
        line = self._line(run_id)
        if ticket not in self._held[run_id]:
            self._queue.withdraw(line, ticket)
            self._take(line, ticket, need, node)

    def release(self, run_id: str, ticket: str) -> None:
        """Give a permit back, or wait for it no more. Idempotent."""
        line = self._queue.line(run_id)
        if line is None or self._queue.withdraw(line, ticket):
            return
        held = self._held[run_id].pop(ticket, None)
        if held is not None:
            line.live -= 1
            line.memory_bytes -= held.need.memory_bytes
            line.cpus -= held.need.cpus
            self._nodes.give(held.need, held.node)

    def decide(self) -> list[Grant]:
        """Grant what can be granted now."""
        grants: list[Grant] = []
        blocked: dict[str, set[Kind]] = {}
        claimed: set[str] = set()
        while not self._nodes.are_all(claimed) and (found := self._next(blocked)) is not None:
            line, kind, ask = found
            node = self._nodes.choose(ask.need, claimed)
            if node is not None:
                grants.append(self._grant(line, ask, node))
                continue
            blocked.setdefault(line.party.run_id, set()).add(kind)
            claim = self._nodes.claim(ask.need, claimed)
            if claim is not None:
                claimed.add(claim)
        return grants

    def refusal(self, run_id: str, need: Need) -> CodetetherError | None:
        """Why it can never be admitted; None if it can."""
        most = self._line(run_id).party.max_memory_bytes
        if most is not None and need.memory_bytes > most:
            return OverLimitError(f"{size(need.memory_bytes)} of memory", size(most))
        return self._nodes.refusal(need)

    def reason(self, run_id: str, need: Need) -> str:
        """Why it would wait now, in words."""
        line = self._line(run_id)
        party = line.party
        if party.max_live is not None and line.live >= party.max_live:
            return f"queued: {line.live} of {party.max_live} agents are running"
        if line.is_at_limit(need) and party.max_memory_bytes is not None:
            left = size(party.max_memory_bytes - line.memory_bytes)
            most = size(party.max_memory_bytes)
            return f"queued: needs {size(need.memory_bytes)}, {left} of this run's {most} are left"
        return self._nodes.reason(need) or f"queued: behind {self._queue.waiting} others"

    def lost(self) -> list[tuple[str, str, CodetetherError]]:
        """Who waits for what can come no more (a node that is gone): run, ticket, why."""
        return [
            (line.party.run_id, ask.ticket, why)
            for line in self._queue.lines()
            for heap in tuple(line.heaps.values())
            if (head := heap.head()) is not None and head.need.node is not None
            if self._nodes.refusal(head.need) is not None
            for ask in heap.asks
            if not ask.is_gone and (why := self._nodes.refusal(ask.need)) is not None
        ]

    def demand(self, most: int) -> list[Need]:
        """What those need who live or wait, as far as `most` of them; those who live first."""
        held = (held.need for tickets in self._held.values() for held in tickets.values())
        asks = (ask.need for line in self._queue.lines() for ask in line.asks.values())
        return list(itertools.islice(itertools.chain(held, asks), most))

    # -- bookkeeping ------------------------------------------------------------------------------

    def _next(self, blocked: dict[str, set[Kind]]) -> tuple[Line, Kind, Ask] | None:
        return self._queue.next(blocked, self._nodes.memory_bytes, self._nodes.cpus)

    def _grant(self, line: Line, ask: Ask, node: str) -> Grant:
        self._queue.serve(line, ask)
        self._take(line, ask.ticket, ask.need, node)
        return Grant(line.party.run_id, ask.ticket, node, self._largest_bytes(line, ask.need))

    def _take(self, line: Line, ticket: str, need: Need, node: str) -> None:
        line.live += 1
        line.memory_bytes += need.memory_bytes
        line.cpus += need.cpus
        self._held[line.party.run_id][ticket] = _Held(need, node)
        self._nodes.take(need, node)

    def _largest_bytes(self, line: Line, need: Need) -> int:
        largest, most = self._nodes.largest_bytes(need), line.party.max_memory_bytes
        return largest if most is None else min(largest, most)

    def _line(self, run_id: str) -> Line:
        line = self._queue.line(run_id)
        if line is None:
            raise ValueError(f"{run_id!r} has not joined")
        return line
