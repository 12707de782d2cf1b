"""Starts a run on a cluster, and leaves it: it lives in a supervisor that outlasts its submitter.

What it works on goes to the head as for any run (`trees.carry`), plain values with it. Where the
cluster has a dashboard, the run is listed as a Ray job: a process on the head that follows it and
ends as it ends. The job does nothing for the run; whoever stops it stops the following alone.
"""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codetether_ray.bootstrap.resuming import resume_command
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.trees.carry import Carrier
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach, is_private, joined
from codetether_ray.config.paths import find_paths
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError, CredentialsError, UsageError
from codetether_ray.core.ids import run_kind
from codetether_ray.journal.lease import LEASE_VARIABLE
from codetether_ray.providers.registry import PROFILES, parse_model

if TYPE_CHECKING:
    from codetether_ray.actors.cluster import Cluster

HAS_KEY, PYTHON = f"{__name__}:has_key", f"{__name__}:python"
_LOOK_S = 0.3
_PATIENCE_S = 180.0
"""For a run to begin, on a busy head."""


async def submit(
    request: RunRequest,
    supervised: str,
    reach: Reach,
    notice: Callable[[str], None],
    *,
    is_there: bool = False,
) -> JsonObject:
    """Start the run; where it is, and by what commands it is followed, fetched, cancelled.

    It returns once the run's journal says that it has begun. `is_there`: what it works on is on
    the head already, nothing is carried there.

    Raises:
        UsageError: no cluster is named that would outlast this process.
        CredentialsError: the head has no key for the model.
        CodetetherError: the run could not be started.
    """
    truth = reach.truth
    if is_private(reach):
        raise UsageError(
            "a run is submitted to a cluster that goes on by itself; name it with "
            "`--address HOST:6379`, or start one with `codetether up`"
        )
    await _check_key(truth, request.model)
    async with joined(reach, find_paths(os.environ).data, notice) as cluster:
        if truth.node is not None and not is_there:
            carrier = Carrier(head=truth.node, data_dir=find_paths(os.environ).data)
            request = await carrier.carry(replace(request, data_dir=str(truth.data_dir)))
        return await _submitted(request, supervised, cluster, truth, notice)


async def _submitted(
    request: RunRequest,
    supervised: str,
    cluster: "Cluster",
    truth: Truth,
    notice: Callable[[str], None],
) -> JsonObject:
    await _begun(request, supervised, truth)
    job = await _listed(request, cluster, truth, notice)
    return {
        "run_id": request.run_id,
        "address": cluster.address,
        "job": job,
        **commands(request.run_id, cluster.address),
    }


def commands(run_id: str, address: str) -> JsonObject:
    """By what commands a run is followed, fetched, cancelled and taken up again, from anywhere."""
    at, kind = ("--address", address), run_kind(run_id) or "session"
    return {
        "follow": shlex.join(("codetether", "ralph", "status", "--run", run_id, "--follow", *at)),
        "fetch": shlex.join(("codetether", "ralph", "fetch", "--run", run_id, *at)),
        "cancel": shlex.join(("codetether", "cancel", run_id, *at)),
        "resume": f"{resume_command(kind, run_id)} {shlex.join(at)}",
    }


async def _begun(request: RunRequest, supervised: str, truth: Truth) -> None:
    """Start the supervisor, and wait until the run is on record."""
    from codetether_ray.actors.dossier import LEASE_S, Dossier, Job
    from codetether_ray.actors.node import head_node
    from codetether_ray.actors.services import start_services
    from codetether_ray.actors.supervised import RaySupervisor
    from codetether_ray.actors.truth import FarDossier

    run_id = request.run_id
    known = await truth.ask(runs.RECORDS, run_id) if request.resumed else 0
    dossier: Dossier | FarDossier = Dossier.of(truth.data_dir, run_id)
    if truth.node is not None:
        dossier = FarDossier(truth.node, truth.data_dir, run_id)
    lease = os.environ.get(LEASE_VARIABLE, "")
    job = Job(
        function=supervised,
        options=request.to_json(),
        environ={LEASE_VARIABLE: lease} if lease else {},
        lease_s=float(lease or LEASE_S),
        lasts=True,
        is_far=truth.node is not None,
    )
    node = await asyncio.to_thread(head_node)
    services = start_services(is_private=False)
    supervisor = RaySupervisor.start(run_id, services, job, dossier, node)
    ended = asyncio.ensure_future(supervisor.result(_nobody))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not ended.done() and not await truth.ask(runs.HAS_BEGUN, run_id, known):
                await asyncio.wait({ended}, timeout=_LOOK_S)
    except TimeoutError:
        supervisor.end()
        raise ClusterError(
            f"{run_id} did not begin within {_PATIENCE_S:.0f} s on the head; nothing of it is left"
        ) from None
    finally:
        if not ended.done():
            ended.cancel()
    if ended.done() and not ended.cancelled() and ended.exception() is not None:
        await ended  # it could not even begin, or ended at once: why is raised


async def _nobody(question: Any) -> bool:
    del question
    return False


# -- keys -----------------------------------------------------------------------------------------


async def _check_key(truth: Truth, model: str) -> None:
    """The submitter's own key stays where it is, so the head must have one."""
    provider = parse_model(model).provider
    if PROFILES[provider].needs_key and not await truth.ask(HAS_KEY, provider):
        raise CredentialsError(
            provider,
            f"the head has no key, and a submitted run cannot ask anybody for one; "
            f"`codetether auth set {provider}` there",
        )


async def has_key(home: Home, provider: str) -> bool:
    """Whether the head's user has a key for a provider."""
    from codetether_ray.config.stores import open_secret_store

    secret = await open_secret_store(os.environ, home.data_dir).get(provider)
    return secret is not None and bool(secret.api_key)


# -- the job --------------------------------------------------------------------------------------


async def _listed(
    request: RunRequest, cluster: "Cluster", truth: Truth, notice: Callable[[str], None]
) -> str | None:
    """The id of the Ray job that follows the run; None where the cluster lists none."""
    from codetether_ray.actors.gateways import list_as_job

    if not cluster.dashboard_url:
        notice("this cluster has no dashboard, so `ray job list` does not show the run")
        return None
    words = (
        *(await truth.ask(PYTHON), "-m", "codetether_ray"),
        *("ralph", "status", "--run", request.run_id, "--follow", "--address", cluster.address),
    )
    about = {"codetether_run": request.run_id, "principal": request.principal}
    try:
        await list_as_job(cluster.dashboard_url, request.run_id, shlex.join(words), about)
    except ClusterError as error:
        notice(f"{error}; the run goes on, `ray job list` does not show it")
        return None
    return request.run_id


def python(_: Home) -> str:
    """The Python that the project is installed in, there."""
    return str(Path(sys.executable))
