"""The supervisor's half of a run on a Ray cluster: what it does, and where it goes on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.actors.door import Served
from codetether_ray.actors.world import World
from codetether_ray.bootstrap.agents import WIRING
from codetether_ray.bootstrap.audited_run import audited_session, audited_swarm, ended
from codetether_ray.bootstrap.drive import drive
from codetether_ray.bootstrap.home import (
    HomeTerms,
    RunHome,
    Voices,
    open_admission,
    open_journal,
    open_ledger,
)
from codetether_ray.bootstrap.run_journal import open_pusher
from codetether_ray.bootstrap.session_home import (
    MAIN,
    SessionRequest,
    SessionResult,
    session_in_home,
    session_terms,
)
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, UnknownRunError
from codetether_ray.core.events import Record, RunFinished, RunStarted, TurnFinished
from codetether_ray.core.spec import TurnResult
from codetether_ray.journal.reader import read_records
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.local.shares import LocalShares

__all__ = ["SESSION", "SWARM", "drive"]

SWARM = f"{__name__}:swarm_in_supervisor"
SESSION = f"{__name__}:session_in_supervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What an earlier process of this supervisor has recorded of the try that it was given."""

    has_begun: bool = False
    finished: RunFinished | None = None
    turn: TurnResult | None = None
    """How the main agent's last turn ended."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Before":
        """Fold the records of the try."""
        has_begun, finished, turn = False, None, None
        for record in records:
            match record.event:
                case RunStarted():
                    has_begun, finished = True, None
                case RunFinished() as event:
                    finished = event
                case TurnFinished(result=result) if record.agent == MAIN:
                    turn = result
        return cls(has_begun=has_begun, finished=finished, turn=turn)


def before(data_dir: str, world: World) -> Before:
    """What is recorded of the try that this supervisor was given; nothing if this is its first
    process."""
    if not world.is_restarted:
        return Before()
    kinds = {RunStarted.tag, RunFinished.tag, TurnFinished.tag}
    try:
        return Before.of(
            read_records(Path(data_dir), world.run_id, kinds=kinds, after=world.since - 1)
        )
    except UnknownRunError:
        return Before()


async def swarm_in_supervisor(options: JsonObject, world: World) -> JsonObject:
    """Run a swarm where its supervisor lives; one that had begun goes on."""
    from codetether_ray.bootstrap.swarm_home import home_terms, swarm_in_home
    from codetether_ray.bootstrap.swarm_request import SwarmRequest

    request = SwarmRequest.from_json(options)
    known = before(request.data_dir, world)
    if known.finished is not None:
        return _recorded(known.finished)
    if known.has_begun:
        request = replace(request, resumed=True)
    async with audited_swarm(request) as done:
        home = await open_home(world, home_terms(request))
        try:
            result = await swarm_in_home(home, request, world.ask_driver)
            ended(done, str(result["outcome"]))
            return result
        finally:
            await home.close()


def _recorded(finished: RunFinished) -> JsonObject:
    """The result of a swarm that had come to its end.

    Raises:
        CodetetherError: it had failed before there was a result.
    """
    if "exit_code" not in finished.summary:
        raise CodetetherError(str(finished.summary.get("error", finished.outcome)))
    return finished.summary


async def session_in_supervisor(request: SessionRequest, world: World) -> SessionResult:
    """Give a session's agent its turn where its supervisor lives; one that had begun goes on."""
    known = before(request.data_dir, world)
    if known.finished is not None and known.turn is not None:
        return SessionResult(session_id=request.session_id, turn=known.turn)
    if known.has_begun:
        request = replace(request, resumed=True, goes_on=True)
    async with audited_session(request) as done:
        home = await open_home(world, session_terms(request))
        try:
            result = await session_in_home(home, request)
            ended(done, result.turn.outcome)
            return result
        finally:
            await home.close()


async def open_home(world: World, terms: HomeTerms) -> RunHome:
    """A run in its supervisor: state and coordinator here, each agent an actor of its own."""
    clock = SystemClock()
    journal = await open_journal(terms)
    ledger = open_ledger(terms, clock)
    voices = Voices(journal, world.bus, terms.correlation, clock)
    host = world.host(WIRING, stays=True)  # its trees are on this node alone
    runtime = HostedRuntime(
        host,
        open_admission(host, terms, clock),
        ledger,
        voices.of_agent,
        clock,
        directory=world.directory,
    )
    shares = LocalShares(world.bus)
    world.serve(Served(journal=journal, ledger=ledger, shares=shares, children=runtime))
    return RunHome(
        correlation=terms.correlation,
        journal=journal,
        bus=world.bus,
        runtime=runtime,
        voices=voices,
        clock=clock,
        notices=terms.notices,
        pusher=open_pusher(terms.data_dir),
    )
