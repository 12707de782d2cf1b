"""What becomes of a task: pure. A worker has it by a lease, whose number grows with each claim."""

from collections.abc import Sequence
from dataclasses import replace

from codetether_ray.core.errors import WorkTakenError
from codetether_ray.core.work import Ended, Held, Worker, WorkTask
from codetether_ray.worker.routing import unfit

MAX_ATTEMPTS = 3
"""Workers that may fall silent over one task before it is given up."""


def claimed(task: WorkTask, worker: Worker, now: float, lease_s: float) -> WorkTask:
    """The task as the worker's own; again where it has it already (its answer was lost).

    Raises:
        WorkTakenError: it is not to be had by this worker.
    """
    if task.status == "running" and task.worker_id == worker.id:
        return task
    if task.status == "running":
        raise WorkTakenError(task.id, "was claimed by another worker")
    if task.is_over:
        raise WorkTakenError(task.id, f"is over: {task.status}")
    reason = unfit(worker, task.wish)
    if reason:
        raise WorkTakenError(task.id, reason)
    return replace(
        task,
        status="running",
        worker_id=worker.id,
        lease=task.lease + 1,
        lease_until=now + lease_s,
        updated_at=now,
    )


def demand_held(task: WorkTask, worker_id: str, lease: int | None) -> None:
    """Refuse who has not the task, or had it by a lease that ran out.

    Raises:
        WorkTakenError: it is not that worker's.
    """
    if task.is_over:
        raise WorkTakenError(task.id, f"is over: {task.status}")
    if task.status != "running" or task.worker_id != worker_id:
        raise WorkTakenError(task.id, "is not yours: your lease ran out, or you never had it")
    if lease is not None and lease != task.lease:
        raise WorkTakenError(task.id, f"is yours by lease {task.lease}, not by {lease}")


def released(
    task: WorkTask, worker_id: str, lease: int | None, ended: Ended, now: float
) -> WorkTask:
    """The task as its worker leaves it.

    Raises:
        WorkTakenError: it is not that worker's.
    """
    if _is_said_again(task, worker_id, lease, ended):
        return task
    demand_held(task, worker_id, lease)
    if ended.status == "released":
        return offered_again(task, now)
    return replace(
        task,
        status=ended.status,
        result=ended.result,
        error=ended.error,
        session_id=ended.session_id,
        is_cancelling=False,
        updated_at=now,
    )


def offered_again(task: WorkTask, now: float) -> WorkTask:
    """The task as nobody's; cancelled, where that was asked for meanwhile."""
    return replace(
        task,
        status="cancelled" if task.is_cancelling else "pending",
        is_cancelling=False,
        lease_until=0.0,
        updated_at=now,
    )


def expired(task: WorkTask, now: float) -> WorkTask:
    """The task after its worker fell silent: offered again, or given up."""
    if not task.is_cancelling and task.attempt >= MAX_ATTEMPTS:
        return replace(
            task,
            status="failed",
            error=f"given up: {task.attempt} workers in turn fell silent over it",
            updated_at=now,
        )
    return replace(offered_again(task, now), attempt=task.attempt + 1)


def cancelled(task: WorkTask, now: float) -> WorkTask:
    """The task after its cancellation was asked for; one that is over stays as it is."""
    if task.status == "pending":
        return replace(task, status="cancelled", updated_at=now)
    if task.status == "running":
        return replace(task, is_cancelling=True, updated_at=now)
    return task


def renewed(
    mine: Sequence[WorkTask], held: Sequence[Held] | None, now: float, lease_s: float
) -> tuple[WorkTask, ...]:
    """Those of a worker's tasks that it says it holds (None: all), with more time."""
    said = None if held is None else {(one.id, one.lease) for one in held}
    return tuple(
        replace(task, lease_until=now + lease_s)
        for task in mine
        if said is None or (task.id, task.lease) in said
    )


def _is_said_again(task: WorkTask, worker_id: str, lease: int | None, ended: Ended) -> bool:
    if task.worker_id != worker_id or (lease is not None and lease != task.lease):
        return False
    if ended.status == "released":
        return task.status == "pending"
    return task.status == ended.status and (task.result, task.error) == (ended.result, ended.error)
