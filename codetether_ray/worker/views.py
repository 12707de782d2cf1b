"""Who sees what of the platform: tasks and workers of one's own, offers that fit."""

from collections.abc import Iterator
from itertools import islice

from codetether_ray.core.errors import UnknownWorkerError, UnknownWorkError
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import Change, Changes, Worker, WorkTask
from codetether_ray.ports.work import WorkTables
from codetether_ray.worker.bells import of_tenant
from codetether_ray.worker.routing import fits

MOST = 100
"""Tasks, pieces of output or changes in one answer."""


def own(tables: WorkTables, asker: Principal, worker_id: str) -> Worker:
    """The asker's own worker of that id."""
    worker = tables.worker(worker_id)
    if worker.owner != asker.owner:
        raise UnknownWorkerError(worker_id)
    return worker


def seen(tables: WorkTables, asker: Principal, task_id: str, *, sees_all: bool = False) -> WorkTask:
    """A task that the asker may see."""
    task = tables.task(task_id)
    is_near = not asker.tenant_id or task.tenant == asker.tenant_id
    if task.owner != asker.owner and not (sees_all and is_near):
        raise UnknownWorkError(task_id)
    return task


def offers(tables: WorkTables, worker: Worker) -> Iterator[WorkTask]:
    """What waits and a worker may have, first things first."""
    return (task for task in tables.offered(worker.tenant) if fits(worker, task.wish))


def everything(tables: WorkTables, worker: Worker, newest: int) -> Changes:
    """All that a worker should know now, as if it had just happened."""
    cancels = [task for task in tables.held(worker.id) if task.is_cancelling]
    items = [Change(n=newest, kind="cancel", task=task) for task in cancels]
    found = islice(offers(tables, worker), MOST)
    items.extend(Change(n=newest, kind="offered", task=task) for task in found)
    return Changes(items=tuple(items), last=newest)


def concerns(change: Change, worker: Worker) -> bool:
    """Whether a worker should know of a change, as its task is by now."""
    task = change.task
    if change.kind == "offered":
        is_ours = task.status == "pending" and task.tenant == worker.tenant
        return is_ours and fits(worker, task.wish)
    return task.is_cancelling and task.worker_id == worker.id


def offer(tables: WorkTables, rung: set[str], task: WorkTask) -> None:
    """Tell workers of a task that waits; `rung` takes the bell to be rung."""
    tables.note("offered", task)
    rung.add(of_tenant(task.tenant))
