"""Who waits for a permit, and who of them is next.

Between parties: those that somebody waits for, then the principal that has least, then the run
that has least. Within a run: rank, then priority (higher first), then coming.
"""

import heapq
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from codetether_ray.ports.admission import Need, Party, Rank

_URGENT_IN_A_ROW = 8
"""Then one of those that nobody waits for has its turn, so that it is never left out for ever."""
_CROWDED = 64  # entries of a heap from which on it is looked whether most of them are gone


@dataclass(slots=True, eq=False)
class Ask:
    """One who waits."""

    ticket: str
    need: Need
    rank: Rank
    priority: int
    order: int
    is_gone: bool = False

    def __lt__(self, other: "Ask") -> bool:
        return self.key < other.key

    @property
    def key(self) -> tuple[int, int, int]:
        """Within its run, the smallest is next."""
        return self.rank, -self.priority, self.order


Kind = tuple[object, ...]
"""What asks are alike in: those of one kind fit the same nodes at the same time."""


def kind_of(need: Need) -> Kind:
    """The kind of an ask."""
    return need.node, need.labels, need.avoid, need.memory_bytes, need.cpus


@dataclass(slots=True, eq=False)
class _Heap:
    asks: list[Ask] = field(default_factory=list)
    gone: int = 0

    def head(self) -> Ask | None:
        """The next one; those that are gone are dropped."""
        while self.asks and self.asks[0].is_gone:
            heapq.heappop(self.asks)
            self.gone -= 1
        return self.asks[0] if self.asks else None

    def lose(self) -> None:
        """One of the asks has gone; once most have, the heap is made anew."""
        self.gone += 1
        if self.gone > max(len(self.asks) // 2, _CROWDED):
            self.asks = [ask for ask in self.asks if not ask.is_gone]
            heapq.heapify(self.asks)
            self.gone = 0


@dataclass(slots=True, eq=False)
class Line:
    """One party's asks, and what it holds."""

    party: Party
    heaps: dict[Kind, _Heap] = field(default_factory=dict)
    asks: dict[str, Ask] = field(default_factory=dict)
    live: int = 0
    memory_bytes: int = 0
    cpus: float = 0.0

    def is_at_limit(self, need: Need) -> bool:
        """Whether the party's own limits keep it from having more."""
        party = self.party
        return (party.max_live is not None and self.live >= party.max_live) or (
            party.max_memory_bytes is not None
            and self.memory_bytes + need.memory_bytes > party.max_memory_bytes
        )

    def head(self, blocked: Collection[Kind]) -> tuple[Kind, Ask] | None:
        """The party's next ask, those of blocked kinds left out."""
        best: tuple[Kind, Ask] | None = None
        for kind, heap in tuple(self.heaps.items()):
            ask = heap.head()
            if ask is None:
                del self.heaps[kind]
            elif kind not in blocked and (best is None or ask < best[1]):
                best = kind, ask
        return best


_NONE: frozenset[Kind] = frozenset()


class Queue:
    """All parties' asks.

    Adding, withdrawing and granting cost O(log n) of a party's asks; finding the next one, O(1)
    for each party and kind.
    """

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._order = itertools.count()
        self._urgent_in_a_row = 0

    def join(self, party: Party) -> Line:
        """The line of a party, made if it is not there."""
        line = self._lines.setdefault(party.run_id, Line(party))
        line.party = party
        return line

    def leave(self, run_id: str) -> None:
        """Forget a party with all its asks; what it holds must have been given back."""
        self._lines.pop(run_id, None)

    def line(self, run_id: str) -> Line | None:
        """A party's line; None if it has none."""
        return self._lines.get(run_id)

    def lines(self) -> Iterator[Line]:
        """All of them."""
        return iter(tuple(self._lines.values()))

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(line.asks) for line in self._lines.values())

    def add(self, line: Line, ticket: str, need: Need, rank: Rank, priority: int) -> None:
        """Have one more wait."""
        ask = Ask(ticket, need, rank, priority, next(self._order))
        line.asks[ticket] = ask
        heapq.heappush(line.heaps.setdefault(kind_of(need), _Heap()).asks, ask)

    def withdraw(self, line: Line, ticket: str) -> bool:
        """Take one out; False if it does not wait."""
        ask = line.asks.pop(ticket, None)
        if ask is None:
            return False
        ask.is_gone = True
        heap = line.heaps.get(kind_of(ask.need))
        if heap is not None:
            heap.lose()
        return True

    def serve(self, line: Line, ask: Ask) -> None:
        """Take one out that is granted."""
        self.withdraw(line, ask.ticket)
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if line.party.is_interactive else 0

    def next(
        self, blocked: Mapping[str, set[Kind]], memory_bytes: int, cpus: float
    ) -> tuple[Line, Kind, Ask] | None:
        """Who is next; parties at their own limits, and kinds that are blocked, are left out.

        `memory_bytes` and `cpus` are what there is: shares are fractions of it.
        """
        shares = self._shares(memory_bytes, cpus)
        last = self._urgent_in_a_row >= _URGENT_IN_A_ROW
        best: tuple[tuple[object, ...], Line, Kind, Ask] | None = None
        for run_id, line in self._lines.items():
            head = line.head(blocked.get(run_id, _NONE)) if line.asks else None
            if head is None or line.is_at_limit(head[1].need):
                continue
            kind, ask = head
            party = line.party
            key = (
                party.is_interactive if last else not party.is_interactive,
                shares[party.principal],
                _share(line.memory_bytes, line.cpus, line.live, memory_bytes, cpus),
                ask.key,
            )
            if best is None or key < best[0]:
                best = key, line, kind, ask
        return None if best is None else best[1:]

    def _shares(self, memory_bytes: int, cpus: float) -> dict[str, tuple[float, int]]:
        held: dict[str, tuple[int, float, int]] = {}
        for line in self._lines.values():
            memory, processors, live = held.get(line.party.principal, (0, 0.0, 0))
            held[line.party.principal] = (
                memory + line.memory_bytes,
                processors + line.cpus,
                live + line.live,
            )
        return {name: _share(m, c, n, memory_bytes, cpus) for name, (m, c, n) in held.items()}


def _share(
    memory: int, cpus: float, live: int, all_memory: int, all_cpus: float
) -> tuple[float, int]:
    """The larger of two fractions; those who reserve nothing are told apart by their number."""
    return max(memory / max(all_memory, 1), cpus / max(all_cpus, 1e-9)), live
