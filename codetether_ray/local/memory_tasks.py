"""The store of tasks in memory, which nothing survives: for tests, and to measure against."""

from collections.abc import Sequence
from dataclasses import replace

from codetether_ray.ports.tasks import ENDED, PushRecord, TaskPage, TaskQuery, TaskRecord
from codetether_ray.stores.task_rules import from_token, is_repeated, page_size, takes, to_row
from codetether_ray.stores.tasks import to_page


class MemoryTasks:
    """The store port on dictionaries. Shared by several handlers, it is their one store."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskRecord] = {}
        self._pushes: dict[tuple[str, str, str], PushRecord] = {}

    async def save(self, records: Sequence[TaskRecord]) -> tuple[str, ...]:
        """See `TaskStore.save`."""
        refused: dict[str, None] = {}
        for record in records:
            found = self._tasks.get(record.id)
            stored, new = to_row(found) if found is not None else None, to_row(record)
            if takes(stored, new):
                self._tasks[record.id] = record
            elif not is_repeated(stored, new):
                refused[record.id] = None
        return tuple(refused)

    async def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """See `TaskStore.get`."""
        found = self._tasks.get(task_id)
        return found if found is not None and owner in (None, found.owner) else None

    async def list(self, query: TaskQuery) -> TaskPage:
        """See `TaskStore.list`."""
        after = from_token(query.page_token) if query.page_token else None
        found = [task for task in self._tasks.values() if _is_wanted(task, query)]
        found.sort(key=lambda task: (task.updated_at, task.id), reverse=True)
        size = page_size(query.page_size)
        rest = [t for t in found if after is None or (t.updated_at, t.id) < after]
        return to_page([to_row(task) for task in rest[: size + 1]], size, len(found))

    async def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        """See `TaskStore.renew`."""
        lost = []
        for id in dict.fromkeys(task_ids):
            found = self._tasks.get(id)
            if found is None or found.holder != holder:
                lost.append(id)
            else:
                self._tasks[id] = replace(found, held_until=until)
        return tuple(lost)

    async def adopt(
        self, holder: str, now: float, until: float, limit: int
    ) -> tuple[TaskRecord, ...]:
        """See `TaskStore.adopt`."""
        left = [t for t in self._tasks.values() if t.order and t.held_until <= now]
        left.sort(key=lambda task: (task.held_until, task.id))
        taken = [replace(t, holder=holder, held_until=until) for t in left[: max(limit, 0)]]
        self._tasks.update((task.id, task) for task in taken)
        return tuple(taken)

    async def save_push(self, record: PushRecord) -> None:
        """See `TaskStore.save_push`."""
        self._pushes[record.task_id, record.id, record.owner] = record

    async def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        """See `TaskStore.pushes`."""
        found = [p for p in self._pushes.values() if p.task_id == task_id]
        wanted = [p for p in found if owner in (None, p.owner)]
        return tuple(sorted(wanted, key=lambda push: (push.id, push.owner)))

    async def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        """See `TaskStore.delete_push`."""
        return self._pushes.pop((task_id, push_id, owner), None) is not None

    async def prune(self, before: float, limit: int) -> int:
        """Remove up to `limit` tasks that ended before a time, with their pushes; how many."""
        old = [t.id for t in self._tasks.values() if t.state in ENDED and t.updated_at < before]
        gone = set(old[:limit])
        for id in gone:
            del self._tasks[id]
        self._pushes = {key: p for key, p in self._pushes.items() if key[0] not in gone}
        return len(gone)

    async def close(self) -> None:
        """Nothing is open."""


def _is_wanted(task: TaskRecord, query: TaskQuery) -> bool:
    since = query.updated_after
    return (
        task.owner == query.owner
        and query.context_id in ("", task.context_id)
        and query.state in ("", task.state)
        and (since is None or task.updated_at >= since)
    )
