"""Where a run's agents are let in to what their supervisor holds: with a badge, each call once.

A badge is given to one process of an agent and taken back before another process of that agent
starts. A process that was stopped, replaced and woken up gets no answer for anything any more.
"""

import asyncio
import pickle
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    AuditError,
    ClusterError,
    CodetetherError,
    FencedError,
    JournalError,
)
from codetether_ray.core.events import Record
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.audit import Action, Audit, AuditOutcome
from codetether_ray.ports.child_runs import ChildResult, ChildRuns, ChildWish
from codetether_ray.ports.journal import Journal
from codetether_ray.ports.ledger import Ledger, Reservation
from codetether_ray.ports.snapshots import HubKeeper, Kept
from codetether_ray.ports.tool import ChildRuntime, SharedResult, ShareStore

_WRITING = ("append", "keep", "audit")
"""Verbs whose work is ended before a badge is taken back."""
Numbers = list[tuple[int, int]]
"""`seq` and `agent_seq` of each record: they come back, not the records, which may be large."""


@dataclass(frozen=True, slots=True)
class Badge:
    """One process of the agent at `path`."""

    path: str
    token: str


Call = tuple[Badge, int, int, str, tuple[Any, ...]]
"""Whose, its number, the floor, verb, arguments; see `Door.call`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The answer of a call that raised."""

    error: CodetetherError


@dataclass(frozen=True, slots=True)
class Later:
    """The answer of a call that is not done yet: it may be asked for again, by its number."""


LATER = Later()


@dataclass(frozen=True, slots=True)
class End:
    """How an audited action ended."""

    id: str
    outcome: AuditOutcome
    detail: JsonObject | None = None
    duration_ms: int | None = None


Entry = tuple[Action, ...] | End
"""What an agent on another node has to say to the audit log: intents, or an outcome."""


class Envelopes(Protocol):
    """Gives secrets in envelopes; see `Broker`."""

    async def sealed(self, provider: str, public: bytes, who: str) -> bytes | None:
        """A provider's secret for the agent `who`, whose process has that public key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the agents of a run reach through its supervisor."""

    journal: Journal
    ledger: Ledger
    shares: ShareStore | None = None
    children: ChildRuntime | None = None
    runs: ChildRuns | None = None
    hub: HubKeeper | None = None
    """Keeps what agents on other nodes leave."""
    audit: Audit | None = None
    """The log of agents on other nodes."""
    secrets: Envelopes | None = None
    """Seals providers' keys to whoever may have them."""


@dataclass(slots=True)
class _Guest:
    """The calls of one badge: those under way, and answers that may be asked for again."""

    floor: int = 0
    calls: dict[int, asyncio.Task[Any]] = field(default_factory=dict)
    writing: set[asyncio.Task[Any]] = field(default_factory=set)

    def forget(self, floor: int) -> None:
        """Drop the answers of calls below `floor`: the caller has them."""
        for number in range(self.floor, floor):
            self.calls.pop(number, None)
        self.floor = max(self.floor, floor)


class Door:
    """Keeps true: a call of a badge (told by its number) is done once, however often it comes;
    once a badge is dismissed nothing of it is done, and nothing of it is acknowledged."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._served: Served | None = None
        self._guests: dict[Badge, _Guest] = {}
        self._verbs: dict[str, Callable[..., Awaitable[Any]]] = {
            "append": self._append,
            "read": self._read,
            "reserve": self._reserve,
            "settle": self._settle,
            "spend": self._spend,
            "release": self._release,
            "spent": self._spent,
            "limits": self._limits,
            "run_child": self._run_child,
            "run_run": self._run_run,
            "share": self._share,
            "shared": self._shared,
            "all_shared": self._all_shared,
        }
        self._verbs_of_guests: dict[str, Callable[..., Awaitable[Any]]] = {
            "put": self._put,
            "keep": self._keep,
            "secret": self._secret,
        }
        self._verbs |= {"audit": self._audit}

    def serve(self, served: Served) -> None:
        """Have something behind the door; before the first agent starts."""
        self._served = served

    def admit(self, path: str) -> Badge:
        """A badge for a new process of the agent at `path`."""
        badge = Badge(path, secrets.token_hex(8))
        self._guests[badge] = _Guest()
        return badge

    async def is_new(self, path: str) -> bool:
        """Whether nothing is journaled of the agent at `path`."""
        return self._served is not None and not await self._served.journal.read(path)

    async def dismiss(self, badge: Badge) -> None:
        """Take a badge back at once, and wait until what it had begun to write is written.

        Who reads the journal after that sees all that the badge's process ever wrote.
        """
        guest = self._guests.pop(badge, None)
        if guest is not None and guest.writing:
            await asyncio.wait(guest.writing)

    async def call(
        self, badge: Badge, number: int, floor: int, verb: str, arguments: tuple[Any, ...]
    ) -> Any:
        """Do call `number` of a badge, or give the answer that it has had.

        The caller has the answers of all its calls below `floor`.

        Raises:
            FencedError: the badge is not, or no longer, valid.
            CodetetherError: what the call raised.
        """
        task = self._begun(badge, number, floor, verb, arguments)
        await asyncio.wait({task})
        if badge not in self._guests:
            raise FencedError(badge.path)
        return task.result()

    async def calls(self, calls: Sequence[Call], patience_s: float) -> list[Any]:
        """The answers of several calls, begun in their order; see `call`.

        An error is a `Fault`; what is not done after `patience_s` is `LATER`.
        """
        begun: list[asyncio.Task[Any] | Fault] = []
        for call in calls:
            try:
                begun.append(self._begun(*call))
            except FencedError as error:
                begun.append(Fault(error))
        tasks = {task for task in begun if isinstance(task, asyncio.Task)}
        if tasks:
            await asyncio.wait(tasks, timeout=patience_s)
        return [self._answer(call[0], done) for call, done in zip(calls, begun, strict=True)]

    async def calls_in_bytes(self, calls: bytes, patience_s: float) -> bytes:
        """See `calls`; asked and answered in bytes."""
        answers = await self.calls(pickle.loads(calls), patience_s)
        return pickle.dumps(answers, pickle.HIGHEST_PROTOCOL)

    def _answer(self, badge: Badge, done: "asyncio.Task[Any] | Fault") -> Any:
        if isinstance(done, Fault):
            return done
        if badge not in self._guests:
            return Fault(FencedError(badge.path))
        if not done.done():
            return LATER
        error = done.exception()
        if error is None:
            return done.result()
        if isinstance(error, CodetetherError):
            return Fault(error)
        return Fault(ClusterError(f"the supervisor failed: {type(error).__name__}: {error}"))

    def _begun(
        self, badge: Badge, number: int, floor: int, verb: str, arguments: tuple[Any, ...]
    ) -> "asyncio.Task[Any]":
        guest = self._guests.get(badge)
        if guest is None or number < guest.floor:
            raise FencedError(badge.path)
        guest.forget(floor)
        task = guest.calls.get(number)
        if task is None:
            task = guest.calls[number] = asyncio.ensure_future(self._do(badge, verb, arguments))
            if verb in _WRITING:
                guest.writing.add(task)
                task.add_done_callback(guest.writing.discard)
        return task

    async def _do(self, badge: Badge, verb: str, arguments: tuple[Any, ...]) -> Any:
        if verb in self._verbs_of_guests:
            return await self._verbs_of_guests[verb](badge, *arguments)
        return await self._verbs[verb](*arguments)

    # -- the verbs --------------------------------------------------------------------------------

    async def _append(self, batches: Sequence[Sequence[Record]]) -> list[Numbers | JournalError]:
        """Journal batches in order, all in one flush; of each its numbers, or why not."""
        append = self._behind.journal.append
        answers: list[Numbers | JournalError] = []
        for kept in await asyncio.gather(*map(append, batches), return_exceptions=True):
            if isinstance(kept, JournalError):
                answers.append(kept)
            elif isinstance(kept, BaseException):
                raise kept
            else:
                answers.append([(record.seq, record.agent_seq) for record in kept])
        return answers

    async def _read(self, agent: str | None) -> tuple[Record, ...]:
        return await self._behind.journal.read(agent)

    async def _reserve(self, amount: Spend, owner: str) -> Reservation:
        return await self._behind.ledger.reserve(amount, owner)

    async def _settle(self, reservation: Reservation, actual: Spend) -> None:
        await self._behind.ledger.settle(reservation, actual)

    async def _spend(self, actual: Spend) -> None:
        """What was spent where nothing had to be reserved."""
        ledger = self._behind.ledger
        await ledger.settle(await ledger.reserve(Spend()), actual)

    async def _release(self, owner: str) -> None:
        await self._behind.ledger.release(owner)

    async def _spent(self) -> Spend:
        return await self._behind.ledger.spent()

    async def _limits(self) -> Budget:
        return await self._behind.ledger.limits()

    async def _run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        children = self._behind.children
        if children is None:
            raise ClusterError(f"the supervisor of {self._run_id} starts no children")
        return await children.run_child(parent, call_id, description, prompt)

    async def _run_run(self, parent: AgentSpec, call_id: str, wish: ChildWish) -> ChildResult:
        runs = self._behind.runs
        if runs is None:
            raise ClusterError(f"the supervisor of {self._run_id} starts no runs")
        return await runs.run(parent, call_id, wish)

    async def _share(self, result: SharedResult) -> None:
        await self._shares.publish(result)

    async def _shared(self, key: str) -> SharedResult | None:
        return await self._shares.get(key)

    async def _all_shared(self, tags: tuple[str, ...], prefix: str) -> tuple[SharedResult, ...]:
        return await self._shares.query(tags=tags, prefix=prefix)

    async def _put(self, badge: Badge, box: str, offset: int, data: bytes) -> None:
        await self._hub.put(badge.token, box, offset, data)

    async def _keep(self, badge: Badge, kept: Kept) -> None:
        await self._hub.keep(badge.path, badge.token, kept)

    async def _audit(self, entries: Sequence[Entry]) -> list[tuple[str, ...] | Exception]:
        """Intents and outcomes in order, the intents' flushes shared; of each its ids, or why not.

        Whatever is wrong with one is no other's.
        """
        audit = self._behind.audit
        if audit is None:
            raise AuditError(f"the supervisor of {self._run_id} keeps no log of other nodes")
        waiting: list[Awaitable[tuple[str, ...]]] = []
        for entry in entries:
            if isinstance(entry, End):
                audit.end(
                    entry.id, entry.outcome, detail=entry.detail, duration_ms=entry.duration_ms
                )
                waiting.append(_nothing())
            else:
                waiting.append(_begun(audit, entry))
        found = await asyncio.gather(*waiting, return_exceptions=True)
        return [_told(answer) for answer in found]

    async def _secret(self, badge: Badge, provider: str, public: bytes) -> bytes | None:
        secrets = self._behind.secrets
        return None if secrets is None else await secrets.sealed(provider, public, badge.path)

    @property
    def _hub(self) -> HubKeeper:
        hub = self._behind.hub
        if hub is None:
            raise ClusterError(f"the supervisor of {self._run_id} keeps no trees of other nodes")
        return hub

    @property
    def _behind(self) -> Served:
        if self._served is None:
            raise ClusterError(f"the supervisor of {self._run_id} serves no run yet")
        return self._served

    @property
    def _shares(self) -> ShareStore:
        shares = self._behind.shares
        if shares is None:
            raise ClusterError(f"the supervisor of {self._run_id} shares no results")
        return shares


async def _nothing() -> tuple[str, ...]:
    return ()


async def _begun(audit: Audit, actions: tuple[Action, ...]) -> tuple[str, ...]:
    return await audit.begin(*actions)


def _told(answer: tuple[str, ...] | BaseException) -> tuple[str, ...] | Exception:
    if isinstance(answer, tuple | AuditError):
        return answer
    if isinstance(answer, Exception):
        return AuditError(f"the audit log failed: {answer!r}")
    raise answer
