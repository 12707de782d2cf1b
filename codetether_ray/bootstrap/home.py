"""Where a run lives: its journal, its budget, its agents. In this process, or in a supervisor."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.agent.parts import AgentLinks
from codetether_ray.bootstrap.agents import build_parts
from codetether_ray.bootstrap.heap import settle_heap
from codetether_ray.bootstrap.late import LateChildRuns
from codetether_ray.bootstrap.run_journal import Notices, open_pusher, open_run_journal
from codetether_ray.bootstrap.watching import Send, Watch, open_traces
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import Warned
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.bus import LocalBus
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.directory import LocalDirectory
from codetether_ray.local.host import LocalHost
from codetether_ray.local.journal import LocalJournal
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.local.limiter import LocalLimiter
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.local.shares import LocalShares
from codetether_ray.ports.admission import Party
from codetether_ray.ports.bus import Bus
from codetether_ray.ports.child_runs import ChildRuns
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.host import AgentHost
from codetether_ray.ports.journal import Journal
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.telemetry.run_log import open_log

if TYPE_CHECKING:
    from codetether_ray.bootstrap.archiving.pusher import Pusher
    from codetether_ray.bootstrap.children.runs import Show
    from codetether_ray.bootstrap.run_request import RunRequest
    from codetether_ray.bootstrap.trees.order import Nodes

RUN_AGENT = "run"
"""The path under which the run itself speaks: that it began, its plan, that it ended."""


class Voices:
    """One publisher per agent of a run, so that each one's events keep their order."""

    def __init__(self, journal: Journal, bus: Bus, correlation: Correlation, clock: Clock) -> None:
        self._journal, self._bus, self._clock = journal, bus, clock
        self._correlation = correlation
        self._voices: dict[str, LocalPublisher] = {}

    def of_agent(self, spec: AgentSpec) -> LocalPublisher:
        """The voice of an agent."""
        return self._voice(spec.path, spec.correlation)

    def of_run(self) -> LocalPublisher:
        """The voice of the run itself."""
        return self._voice(RUN_AGENT, self._correlation)

    async def close(self) -> None:
        """Publish what still waits."""
        for voice in tuple(self._voices.values()):
            await voice.close()

    def _voice(self, path: str, correlation: Correlation) -> LocalPublisher:
        if path not in self._voices:
            self._voices[path] = LocalPublisher(
                self._journal, self._bus, correlation, path, self._clock
            )
        return self._voices[path]


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeTerms:
    """What a home is opened with, wherever it is."""

    correlation: Correlation
    data_dir: Path
    budget: Budget
    max_live: int | None = None
    """How many agents may live at once, whatever fits."""
    max_memory_bytes: int | None = None
    """What all agents together may take, whatever there is."""
    principal: str = ""
    """Who asked for the run."""
    is_interactive: bool = False
    """Somebody sits before it: its agents go first."""
    pack: int = 1
    """How many agents may share a process."""
    pool: PoolTerms = field(default_factory=PoolTerms)
    """For processes that the run keeps for its next agents, where it has its own."""
    spent: Spend | None = None
    """What earlier tries of this run have spent."""
    notices: Notices = field(default_factory=Notices)
    """What opening and writing the journal has to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHome:
    """What a run's coordinator needs, wherever it lives."""

    correlation: Correlation
    journal: Journal
    bus: Bus
    runtime: HostedRuntime
    voices: Voices
    clock: Clock
    notices: Notices = field(default_factory=Notices)
    pusher: "Pusher | None" = None
    """Sends the run to the archive, where there is one."""
    on_begun: Callable[[], None] | None = None
    nodes: "Nodes | None" = None
    """Other nodes that agents may live on, where there are any."""
    watch: Watch | None = None
    """Measures and traces the run."""

    def begun(self) -> None:
        """The journal holds that the run began.

        From now on, what the journal has to tell is told as warnings of the run; who cancels the
        run finds its end recorded.
        """
        if self.on_begun is not None:
            self.on_begun()
        voice = self.voices.of_run()
        self.notices.listen(lambda sentence: voice.emit(Warned(text=sentence)))

    async def close(self) -> None:
        """End the agents, publish what waits, let go of the journal."""
        await self.runtime.close()
        await self.voices.close()
        await self.journal.close()
        if self.watch is not None:
            await self.watch.close()
        if self.pusher is not None:
            await self.pusher.aclose()


async def open_local_home(terms: HomeTerms) -> RunHome:
    """A run in this process.

    Raises:
        RunBusyError: another process drives it.
        JournalError: its journal cannot be written.
    """
    settle_heap()
    clock = SystemClock()
    watch = await open_watch(terms, clock)
    journal = watch.journal(await open_journal(terms))
    bus = LocalBus()
    ledger = open_ledger(terms, clock)
    limiter, shares = LocalLimiter(clock), LocalShares(bus)
    voices = Voices(journal, bus, terms.correlation, clock)

    def links(spec: AgentSpec) -> AgentLinks:
        return AgentLinks(
            publisher=voices.of_agent(spec),
            ledger=ledger,
            limiter=limiter,
            children=runtime,
            runs=runs,
            shares=shares,
            trace=watch.trace,
        )

    host = LocalHost(links, build_parts)
    runtime = HostedRuntime(
        host,
        open_admission(host, terms, clock),
        ledger,
        voices.of_agent,
        clock,
        directory=LocalDirectory(clock),
    )

    def child_runs() -> ChildRuns:
        from codetether_ray.bootstrap.children.runs import HostedChildRuns

        return HostedChildRuns(terms.data_dir, runtime, ledger, voices, _beside)

    runs = LateChildRuns(child_runs)
    return RunHome(
        correlation=terms.correlation,
        journal=journal,
        bus=bus,
        runtime=runtime,
        voices=voices,
        clock=clock,
        notices=terms.notices,
        pusher=open_pusher(terms.data_dir, terms.correlation.run_id, terms.notices),
        watch=watch,
    )


async def _beside(request: "RunRequest", show: "Show") -> JsonObject:
    from codetether_ray.bootstrap.children.homes import run_here

    return await run_here(request, show)


async def open_watch(terms: HomeTerms, clock: Clock, send: Send | None = None) -> Watch:
    """What watches a run; `send` hands its measurements on, where somebody collects them."""
    run_id = terms.correlation.run_id
    traces = await open_traces(terms.data_dir, run_id, terms.notices.tell)
    log = await asyncio.to_thread(open_log, terms.data_dir, run_id)
    return Watch(clock, send=send, traces=traces, log=log)


def open_admission(host: AgentHost, terms: HomeTerms, clock: Clock) -> LocalAdmission:
    """Who may start, by what there is and what the terms allow."""
    return LocalAdmission(
        host.capacity, clock, max_live=terms.max_live, max_memory_bytes=terms.max_memory_bytes
    )


def party(terms: HomeTerms) -> Party:
    """As what a run asks for permits where others do as well."""
    return Party(
        run_id=terms.correlation.run_id,
        principal=terms.principal,
        is_interactive=terms.is_interactive,
        max_live=terms.max_live,
        max_memory_bytes=terms.max_memory_bytes,
    )


async def open_journal(terms: HomeTerms) -> LocalJournal:
    """The run's journal, to be written by this process alone."""
    return await open_run_journal(terms.data_dir, terms.correlation, terms.notices)


def open_ledger(terms: HomeTerms, clock: Clock) -> LocalLedger:
    """The run's budget, less what was spent before."""
    ledger = LocalLedger(terms.budget, clock)
    if terms.spent is not None:
        ledger.restore(terms.spent)
    return ledger
