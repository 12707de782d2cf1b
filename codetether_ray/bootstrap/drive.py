"""The driver's half of a run on a Ray cluster: starts or joins its supervisor, and follows it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codetether_ray.actors.broker import answering
from codetether_ray.actors.cluster import Cluster, ClusterOptions, join_or_start
from codetether_ray.actors.dossier import LEASE_S, Dossier, Job
from codetether_ray.actors.node import head_node
from codetether_ray.actors.services import Services, start_services
from codetether_ray.actors.supervised import RaySupervisor
from codetether_ray.actors.truth import FarDossier
from codetether_ray.bootstrap.follow import Audience, Follower
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.driving import Keys
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import RunLostError
from codetether_ray.core.events import Record
from codetether_ray.journal.lease import LEASE_VARIABLE
from codetether_ray.journal.reader import read_records
from codetether_ray.telemetry.otlp import passed_on

_LAST_WORD_S = 3.0


def _never() -> bool:
    return False


async def drive(
    run_id: str,
    function: str,
    options: object,
    *,
    reach: Reach,
    data_dir: Path,
    audience: Audience,
    keys: Keys | None = None,
    dashboard: bool = False,
    memory_bytes: int | None = None,
    go_on: str = "",
    joins: bool = False,
    leaves: Callable[[], bool] = _never,
) -> Any:
    """Do a run in a supervisor, and follow it; cancelled, wait for the run's own last word.

    Cancelled while `leaves` says so, the run goes on without this process.

    `data_dir` is this user's here; the run's files are those of `reach`. `keys` may be asked for
    by a supervisor that cannot read them itself. `go_on` is the command that goes on with the
    run, should its supervisor be lost for good. `joins`: where the run is under way on this
    cluster already, it is followed.

    Raises:
        RunBusyError: it is under way, and `joins` is not given.
        RunLostError: its supervisor is gone.
        CodetetherError: no cluster, or what the run raised.
    """
    wanted = cluster_options(
        run_id, reach, data_dir, dashboard=dashboard, memory_bytes=memory_bytes
    )
    async with _joined(reach, wanted, audience.notice) as cluster:
        if dashboard and cluster.dashboard_url:
            audience.notice(f"Ray's dashboard: {cluster.dashboard_url}")
        desk = await _desk(run_id, cluster, reach.truth)
        lease = os.environ.get(LEASE_VARIABLE, "")
        job = Job(
            function=function,
            options=options,
            environ=passed_on(os.environ) | ({LEASE_VARIABLE: lease} if lease else {}),
            lease_s=_seconds(lease),
            since=await reach.truth.ask(runs.RECORDS, run_id),
            lasts=not cluster.is_private,
            is_far=not reach.truth.is_here,
            brings_keys=keys is not None and _brings_keys(cluster, reach.truth),
        )
        if keys is not None and job.brings_keys:
            answer = answering(audience.ask, keys.store, keys.providers)
            audience = replace(audience, ask=answer)
        run = _Run(run_id, desk, reach.truth, audience, leaves)
        try:
            return await _unless_gone(cluster, run_id, run.done(job, joins=joins))
        except RunLostError as lost:
            if cluster.is_private:  # what Ray lost sight of would hold the run when it is resumed
                await asyncio.to_thread(Dossier.of(data_dir, run_id).end_processes)
            raise RunLostError(lost.run_id, lost.reason, go_on) from lost


def cluster_options(
    run_id: str, reach: Reach, data_dir: Path, *, dashboard: bool, memory_bytes: int | None
) -> ClusterOptions:
    """How a run gets its cluster."""
    return ClusterOptions(
        data_dir=data_dir,
        address=reach.address.value,
        log_path=data_dir / "logs" / f"{run_id}.ray.log",
        dashboard=dashboard,
        memory_bytes=memory_bytes,
    )


@asynccontextmanager
async def _joined(
    reach: Reach, wanted: ClusterOptions, notice: Callable[[str], None]
) -> AsyncIterator[Cluster]:
    """The cluster that was joined already, or one that is joined or started now, and left."""
    if reach.cluster is not None:
        yield reach.cluster
        return
    cluster = await join_or_start(wanted, notice)
    try:
        yield cluster
    finally:
        await cluster.close()


def _brings_keys(cluster: Cluster, truth: Truth) -> bool:
    """Whether a supervisor cannot have the keys of this process by itself."""
    return not truth.is_here or (not cluster.is_private and bool(os.environ.get("VAULT_ADDR")))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Where a run's supervisor is, or will be."""

    services: Services
    dossier: Dossier | FarDossier
    node: str
    """Empty for this one."""


async def _desk(run_id: str, cluster: Cluster, truth: Truth) -> _Desk:
    services = start_services(is_private=cluster.is_private)
    node = "" if cluster.is_private else await asyncio.to_thread(head_node)
    if truth.node is not None:
        far = FarDossier(truth.node, truth.data_dir, run_id)
        return _Desk(services=services, dossier=far, node=node)
    return _Desk(services=services, dossier=Dossier.of(truth.data_dir, run_id), node=node)


class _Run:
    """One run that is driven."""

    def __init__(
        self,
        run_id: str,
        desk: _Desk,
        truth: Truth,
        audience: Audience,
        leaves: Callable[[], bool],
    ) -> None:
        self._leaves = leaves
        self._run_id = run_id
        self._desk = desk
        self._truth = truth
        self._audience = audience

    async def done(self, job: Job, *, joins: bool) -> Any:
        desk, joined = self._desk, None
        if joins:
            joined = RaySupervisor.join(self._run_id, desk.dossier, desk.node)
        if joined is None:
            await self._truth.ask(runs.REFUSE_BUSY, self._run_id)
        since = await self._truth.ask(runs.BEGAN, self._run_id) if joined else job.since
        follower = self._follower(since)
        await follower.start()
        try:
            if joined is not None:
                self._audience.notice(f"{self._run_id} is under way on this head; following it")
                follower.mark_gap()
            supervisor = joined or RaySupervisor.start(
                self._run_id, desk.services, job, desk.dossier, desk.node
            )
            return await self._followed(supervisor, follower)
        finally:
            await follower.finish()

    async def _followed(self, supervisor: RaySupervisor, follower: Follower) -> Any:
        def on_restart(sentence: str) -> None:
            self._audience.notice(sentence)
            follower.mark_gap()

        work = asyncio.create_task(
            supervisor.result(self._audience.ask, on_restart, self._audience.notice)
        )
        try:
            try:
                result = await asyncio.shield(work)
            except asyncio.CancelledError:
                if self._leaves():
                    raise
                supervisor.cancel()
                result = await work
        except RunLostError:
            raise
        except BaseException:
            if not self._leaves():
                supervisor.end()
            raise
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        supervisor.end()
        return result

    def _follower(self, since: int) -> Follower:
        return Follower(
            self._desk.services.bus(),
            self._run_id,
            self._audience.show,
            self._audience.notice,
            reread=lambda: _reread(self._truth, self._run_id, since - 1),
        )


def _reread(truth: Truth, run_id: str, after: int) -> Iterator[Record]:
    """The run's records behind `after`; it blocks."""
    if truth.is_here:
        yield from read_records(truth.data_dir, run_id, after=after, fetch=archived())
        return
    while found := truth.ask_now(runs.REREAD, run_id, after):
        records = [Record.from_json(data) for data in found]
        yield from records
        after = records[-1].seq


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
