"""Runs in a supervisor on a Ray cluster: the driver's half, and the supervisor's half."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from codetether_ray.actors.cluster import Cluster, ClusterOptions, join_or_start
from codetether_ray.actors.services import start_services
from codetether_ray.actors.supervisor import RaySupervisor, Served, World
from codetether_ray.bootstrap.agents import WIRING
from codetether_ray.bootstrap.follow import Follower, Show
from codetether_ray.bootstrap.home import (
    HomeTerms,
    RunHome,
    Voices,
    open_admission,
    open_journal,
    open_ledger,
)
from codetether_ray.bootstrap.session_home import (
    SessionRequest,
    SessionResult,
    session_in_home,
    session_terms,
)
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import RunLostError
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.local.shares import LocalShares

SWARM = f"{__name__}:swarm_in_supervisor"
SESSION = f"{__name__}:session_in_supervisor"


_LAST_WORD_S = 5.0


async def drive(
    run_id: str,
    function: str,
    options: object,
    *,
    data_dir: Path,
    show: Show,
    ask: Callable[[Any], Awaitable[Any]],
    notice: Callable[[str], None],
    dashboard: bool = False,
    memory_bytes: int | None = None,
    go_on: str = "",
) -> Any:
    """Do a run in a supervisor, and follow it; cancelled, wait for the run's own last word.

    `go_on` is the command that goes on with the run, should its supervisor die.

    Raises:
        RunLostError: its supervisor died.
        CodetetherError: no cluster, or what the run raised.
    """
    cluster = await join_or_start(
        ClusterOptions(
            data_dir=data_dir,
            address=os.environ.get("RAY_ADDRESS", ""),
            log_path=data_dir / "logs" / f"{run_id}.ray.log",
            dashboard=dashboard,
            memory_bytes=memory_bytes,
        ),
        notice,
    )
    try:
        if dashboard and cluster.dashboard_url:
            notice(f"Ray's dashboard: {cluster.dashboard_url}")
        services = start_services(is_private=cluster.is_private)
        supervisor = RaySupervisor.start(run_id, services)
        follower = Follower(services.bus(), run_id, show, notice)
        work = _followed(supervisor, follower, function, options, ask)
        try:
            result = await _unless_gone(cluster, run_id, work)
        except RunLostError as lost:
            raise RunLostError(lost.run_id, lost.reason, go_on) from lost
        except BaseException:
            supervisor.end()
            raise
        supervisor.end()
        return result
    finally:
        await cluster.close()


async def _unless_gone(cluster: Cluster, run_id: str, work: Coroutine[Any, Any, Any]) -> Any:
    """The result of `work`, which is not waited for where the cluster answers no more.

    Raises:
        RunLostError: that is so.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(cluster.gone())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if task.done():
        return task.result()
    for _ in range(2):  # the run's last word may still come; then waiting for it is given up
        task.cancel()
        await asyncio.wait({task}, timeout=_LAST_WORD_S)
    raise RunLostError(run_id, f"the Ray cluster at {cluster.address} answers no more")


async def _followed(
    supervisor: RaySupervisor,
    follower: Follower,
    function: str,
    options: object,
    ask: Callable[[Any], Awaitable[Any]],
) -> Any:
    await follower.start()
    work = asyncio.create_task(supervisor.run(function, options))
    questions = asyncio.create_task(supervisor.questions(ask))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if await supervisor.cancel():
            return await work
        raise
    finally:
        questions.cancel()
        await asyncio.gather(questions, return_exceptions=True)
        await follower.finish()


# -- in the supervisor ----------------------------------------------------------------------------


async def swarm_in_supervisor(options: JsonObject, world: World) -> JsonObject:
    """Run a swarm where its supervisor lives."""
    from codetether_ray.bootstrap.swarm_home import home_terms, swarm_in_home
    from codetether_ray.bootstrap.swarm_request import SwarmRequest

    request = SwarmRequest.from_json(options)
    home = await open_home(world, home_terms(request))
    try:
        return await swarm_in_home(home, request, world.ask_driver)
    finally:
        await home.close()


async def session_in_supervisor(request: SessionRequest, world: World) -> SessionResult:
    """Give a session's agent its turn where its supervisor lives."""
    home = await open_home(world, session_terms(request))
    try:
        return await session_in_home(home, request)
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
    )
