"""The driver's half of a run on a Ray cluster: starts or joins its supervisor, and follows it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.actors.cluster import Cluster, ClusterOptions, join_or_start
from codetether_ray.actors.dossier import LEASE_S, Dossier, Job
from codetether_ray.actors.services import Services, start_services
from codetether_ray.actors.supervised import RaySupervisor
from codetether_ray.bootstrap.follow import Follower, Show
from codetether_ray.bootstrap.replay import archived
from codetether_ray.core.errors import RunBusyError, RunLostError, UnknownRunError
from codetether_ray.core.events import RunStarted
from codetether_ray.journal.lease import LEASE_VARIABLE, is_silent, stale_after_s
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import run_directory
from codetether_ray.telemetry.otlp import passed_on

_LAST_WORD_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who looks on while a run is driven."""

    show: Show
    ask: Callable[[Any], Awaitable[Any]]
    """Answers the run's questions."""
    notice: Callable[[str], None]
    """Is given sentences that a person should read."""


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
    joins: bool = False,
) -> Any:
    """Do a run in a supervisor, and follow it; cancelled, wait for the run's own last word.

    `go_on` is the command that goes on with the run, should its supervisor be lost for good.
    `joins`: where the run is under way on this cluster already, it is followed.

    Raises:
        RunBusyError: it is under way, and `joins` is not given.
        RunLostError: its supervisor is gone.
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
        lease = os.environ.get(LEASE_VARIABLE, "")
        job = Job(
            function=function,
            options=options,
            environ={**passed_on(os.environ), **({LEASE_VARIABLE: lease} if lease else {})},
            lease_s=_seconds(lease),
            since=_records(data_dir, run_id),
            lasts=not cluster.is_private,
        )
        run = _Run(run_id, data_dir, services, Audience(show=show, ask=ask, notice=notice))
        try:
            return await _unless_gone(cluster, run_id, run.done(job, joins=joins))
        except RunLostError as lost:
            if cluster.is_private:  # what Ray lost sight of would hold the run when it is resumed
                await asyncio.to_thread(Dossier.of(data_dir, run_id).end_processes)
            raise RunLostError(lost.run_id, lost.reason, go_on) from lost
    finally:
        await cluster.close()


class _Run:
    """One run that is driven."""

    def __init__(self, run_id: str, data_dir: Path, services: Services, audience: Audience) -> None:
        self._run_id = run_id
        self._data_dir = data_dir
        self._services = services
        self._audience = audience

    async def done(self, job: Job, *, joins: bool) -> Any:
        dossier = Dossier.of(self._data_dir, self._run_id)
        joined = RaySupervisor.join(self._run_id, dossier) if joins else None
        if joined is None:
            self._refuse_busy()
        follower = self._follower(self._began() if joined else job.since)
        await follower.start()
        try:
            if joined is not None:
                self._audience.notice(f"{self._run_id} is under way on this head; following it")
                follower.mark_gap()
            supervisor = joined or RaySupervisor.start(self._run_id, self._services, job, dossier)
            return await self._followed(supervisor, follower)
        finally:
            await follower.finish()

    async def _followed(self, supervisor: RaySupervisor, follower: Follower) -> Any:
        def on_restart(sentence: str) -> None:
            self._audience.notice(sentence)
            follower.mark_gap()

        work = asyncio.create_task(supervisor.result(self._audience.ask, on_restart))
        try:
            try:
                result = await asyncio.shield(work)
            except asyncio.CancelledError:
                supervisor.cancel()
                result = await work
        except RunLostError:
            raise
        except BaseException:
            supervisor.end()
            raise
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        supervisor.end()
        return result

    def _follower(self, since: int) -> Follower:
        return Follower(
            self._services.bus(),
            self._run_id,
            self._audience.show,
            self._audience.notice,
            reread=lambda: read_records(
                self._data_dir, self._run_id, after=since - 1, fetch=archived()
            ),
        )

    def _refuse_busy(self) -> None:
        """Leave a run alone that is under way elsewhere: its supervisor's files are in use.

        Raises:
            RunBusyError: it is.
        """
        directory = run_directory(self._data_dir, self._run_id)
        holder = live_holder(directory)
        if holder is not None and not is_silent(directory, stale_after_s()):
            raise RunBusyError(self._run_id, str(holder), stale_after_s())

    def _began(self) -> int:
        """The number of the record with which the try that is under way began."""
        kinds = {RunStarted.tag}
        try:
            found = [
                r.seq
                for r in read_records(self._data_dir, self._run_id, kinds=kinds, fetch=archived())
            ]
        except UnknownRunError:
            return 0
        return found[-1] if found else 0


def _records(data_dir: Path, run_id: str) -> int:
    """How many records a run has."""
    try:
        return find_run(data_dir, run_id).records
    except UnknownRunError:
        return 0


def _seconds(lease: str) -> float:
    try:
        return max(float(lease), 0.3)
    except ValueError:
        return LEASE_S


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
