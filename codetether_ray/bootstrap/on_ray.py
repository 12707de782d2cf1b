"""The supervisor's half of a run on a Ray cluster: what it does, and where it goes on."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from codetether_ray.actors.broker import Broker
from codetether_ray.actors.child_runs import Errand, run_beside
from codetether_ray.actors.custody import Custody
from codetether_ray.actors.door import Served
from codetether_ray.actors.nodes import this_node
from codetether_ray.actors.world import World
from codetether_ray.bootstrap.agents import WIRING
from codetether_ray.bootstrap.auditing.opening import open_audit
from codetether_ray.bootstrap.auditing.runs import audited_run, audited_session, ended
from codetether_ray.bootstrap.children.homes import way_of
from codetether_ray.bootstrap.children.runs import HostedChildRuns, Show
from codetether_ray.bootstrap.clocks import ClockedNodes
from codetether_ray.bootstrap.drive import drive
from codetether_ray.bootstrap.follow import Follower
from codetether_ray.bootstrap.heap import settle_heap
from codetether_ray.bootstrap.home import (
    HomeTerms,
    RunHome,
    Voices,
    open_admission,
    open_journal,
    open_ledger,
    open_watch,
    party,
)
from codetether_ray.bootstrap.models import is_key_optional
from codetether_ray.bootstrap.restarted import Known, known_of
from codetether_ray.bootstrap.resuming import records_of
from codetether_ray.bootstrap.run_home import Ask, home_terms
from codetether_ray.bootstrap.run_journal import open_pusher
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.session.home import (
    SessionRequest,
    SessionResult,
    session_in_home,
    session_terms,
)
from codetether_ray.bootstrap.trees.order import Nodes
from codetether_ray.bootstrap.watching import Watched
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.local.shares import LocalShares
from codetether_ray.ports.audit import Audit
from codetether_ray.workspace.hub import hub_path
from codetether_ray.workspace.keeping import HubKeeping

__all__ = ["SESSION", "drive"]

R = TypeVar("R", bound=RunRequest)
SESSION = f"{__name__}:session_in_supervisor"


def _resumed(request: R) -> R:
    return replace(request, resumed=True)


async def swarm_in_supervisor(options: JsonObject, world: World) -> JsonObject:
    """Run a swarm where its supervisor lives; one that had begun goes on."""
    from codetether_ray.bootstrap.swarm.home import swarm_in_home
    from codetether_ray.bootstrap.swarm.request import SwarmRequest

    def restarted(request: SwarmRequest) -> SwarmRequest:
        return replace(request, resumed=True, is_planned=False)

    return await run_in_supervisor(
        SwarmRequest.from_json(options), world, swarm_in_home, restarted=restarted
    )


async def relay_in_supervisor(options: JsonObject, world: World) -> JsonObject:
    """Run a relay where its supervisor lives; one that had begun goes on."""
    from codetether_ray.bootstrap.relay.home import relay_in_home
    from codetether_ray.bootstrap.relay.request import RelayRequest

    return await run_in_supervisor(RelayRequest.from_json(options), world, relay_in_home)


async def ralph_in_supervisor(options: JsonObject, world: World) -> JsonObject:
    """Work a PRD off where its supervisor lives; a run that had begun goes on."""
    from codetether_ray.bootstrap.ralph.home import ralph_in_home
    from codetether_ray.bootstrap.ralph.request import RalphRequest

    return await run_in_supervisor(RalphRequest.from_json(options), world, ralph_in_home)


async def run_in_supervisor(
    request: R,
    world: World,
    in_home: Callable[[RunHome, R, Ask], Awaitable[JsonObject]],
    *,
    restarted: Callable[[R], R] = _resumed,
) -> JsonObject:
    """Do any run of several agents where its supervisor lives; one that had begun goes on."""
    known = _known(request.data_dir, world)
    if known.finished is not None:
        return known.result(known.finished)
    if known.has_begun:
        request = restarted(request)
    async with (
        audited_run(request) as done,
        _home(world, home_terms(request), request.verb) as home,
    ):
        result = await in_home(home, request, world.ask_driver)
        ended(done, str(result["outcome"]), result)
        return result


async def session_in_supervisor(request: SessionRequest, world: World) -> SessionResult:
    """Give a session's agent its turn where its supervisor lives; one that had begun goes on."""
    known = _known(request.data_dir, world)
    if known.finished is not None and known.turn is not None:
        return SessionResult(session_id=request.session_id, turn=known.turn)
    if known.has_begun:
        request = replace(request, resumed=True, goes_on=True)
    async with (
        audited_session(request) as done,
        _home(world, session_terms(request), "run") as home,
    ):
        result = await session_in_home(home, request)
        ended(done, result.turn.outcome)
        return result


def _known(data_dir: str, world: World) -> Known:
    return known_of(data_dir, world.run_id, world.since if world.is_restarted else None)


@asynccontextmanager
async def _home(world: World, terms: HomeTerms, verb: str) -> AsyncIterator[RunHome]:
    """`open_home`, closed; `verb` is the command that brings a key back whose driver is gone."""
    audit = open_audit(terms.data_dir)
    store = None if world.is_far else open_secret_store(os.environ, terms.data_dir)
    broker = Broker(
        world.run_id,
        world.ask_driver if world.is_far else None,
        at_home=store,
        conceal=audit.conceal,
        custody=Custody(audit, terms.correlation, terms.principal),
        verb=verb,
        is_optional=is_key_optional,
    )
    try:
        home = await open_home(world, terms, audit, broker)
        moving = asyncio.create_task(world.watch_departures(home.runtime.leave))
        try:
            yield home
        finally:
            moving.cancel()
            await home.close()
    finally:
        await audit.close()


async def open_home(
    world: World, terms: HomeTerms, audit: Audit | None = None, broker: Broker | None = None
) -> RunHome:
    """A run in its supervisor: state and coordinator here, each agent an actor of its own.

    Agents on other nodes write `audit`, and have their keys of `broker`.
    """
    settle_heap()
    clock = SystemClock()
    send = world.metrics.keep_sending if await world.metrics.is_wanted() else None
    watch = await open_watch(terms, clock, send)
    journal = watch.journal(await open_journal(terms))
    ledger = open_ledger(terms, clock)
    voices = Voices(journal, world.bus, terms.correlation, clock)
    # agents whose spec names no node live on this one
    host = world.host(
        WIRING, stays=True, pack=terms.pack, pool=terms.pool, trace=watch.trace, budget=terms.budget
    )
    shared = world.admission(party(terms)) if world.is_shared else None
    runtime = HostedRuntime(
        host,
        shared or open_admission(host, terms, clock),
        ledger,
        voices.of_agent,
        clock,
        directory=world.directory,
        home=this_node() if world.is_shared else "",
    )
    shares = LocalShares(world.bus)
    run_id = terms.correlation.run_id
    runs = HostedChildRuns(terms.data_dir, runtime, ledger, voices, partial(_beside, world))
    watch.start(Watched(run_id=run_id, runtime=runtime, ledger=ledger, bus=world.bus))
    world.serve(
        Served(
            journal=journal,
            ledger=ledger,
            shares=shares,
            children=runtime,
            runs=runs,
            audit=audit,
            secrets=broker,
            hub=HubKeeping(hub_path(terms.data_dir, run_id), run_id),
        )
    )
    return RunHome(
        correlation=terms.correlation,
        journal=journal,
        bus=world.bus,
        runtime=runtime,
        voices=voices,
        clock=clock,
        notices=terms.notices,
        pusher=open_pusher(terms.data_dir, run_id, terms.notices),
        on_begun=world.begun.set,
        watch=watch,
        nodes=_nodes(world, terms) if world.is_shared else None,
    )


async def _beside(world: World, request: RunRequest, show: Show) -> JsonObject:
    """Do a run that an agent of this one has started."""
    errand = Errand(
        run_id=request.run_id,
        function=way_of(request.kind).supervised,
        options=request.to_json(),
        data_dir=Path(request.data_dir),
        since=await asyncio.to_thread(records_of, Path(request.data_dir), request.run_id),
    )
    follower = Follower(world.bus, request.run_id, show)
    await follower.start()
    try:
        result: JsonObject = await run_beside(world, errand)
        return result
    finally:
        await follower.finish()


def _nodes(world: World, terms: HomeTerms) -> Nodes:
    """The cluster's nodes; one whose clock is wrong is told of."""
    return Nodes(home=this_node(), reach=ClockedNodes(world.node, terms.notices.tell))
