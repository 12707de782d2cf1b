"""A store of tasks against one that is too simple to be wrong, in whatever order things happen."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from codetether_ray.ports.tasks import TaskQuery, TaskRecord, TaskStore
from tests.contracts.tasks import NOW

_IDS = st.sampled_from(["a", "b", "c"])
_HOLDERS = st.sampled_from(["", "r1", "r2"])
_TIMES = st.integers(0, 6).map(lambda n: NOW + n)
_RECORDS = st.builds(
    TaskRecord,
    id=_IDS,
    context_id=st.sampled_from(["c1", "c2"]),
    owner=st.sampled_from(["ada", "ada", "bob"]),
    state=st.sampled_from(["working", "completed", "input-required"]),
    version=st.integers(1, 5),
    updated_at=_TIMES,
    payload=st.sampled_from([b"x", b"y"]),
    holder=_HOLDERS,
    held_until=st.one_of(st.just(0.0), _TIMES),
    order=st.sampled_from([b"", b"do"]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.lists(_RECORDS, max_size=4)),
        st.tuples(st.just("renew"), _HOLDERS, st.lists(_IDS, max_size=3), _TIMES),
        st.tuples(st.just("adopt"), _HOLDERS, _TIMES, _TIMES, st.integers(0, 3)),
        st.tuples(st.just("prune"), _TIMES),
    ),
    max_size=12,
)


class Model:
    """The port's words, spelled out."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskRecord] = {}

    def save(self, records: list[TaskRecord]) -> set[str]:
        return {record.id for record in records if not self._saved(record)}

    def _saved(self, new: TaskRecord) -> bool:
        old = self.tasks.get(new.id)
        if old is not None:
            if replace(old, held_until=0) == replace(new, held_until=0):
                return True
            is_free = old.holder == new.holder or old.held_until <= new.updated_at
            if old.owner != new.owner or old.version >= new.version or not is_free:
                return False
        self.tasks[new.id] = new
        return True

    def renew(self, holder: str, ids: list[str], until: float) -> set[str]:
        mine = {id for id in ids if id in self.tasks and self.tasks[id].holder == holder}
        for id in mine:
            self.tasks[id] = replace(self.tasks[id], held_until=until)
        return set(ids) - mine

    def adopt(self, holder: str, now: float, until: float, limit: int) -> list[TaskRecord]:
        left = [t for t in self.tasks.values() if t.order and t.held_until <= now]
        taken = sorted(left, key=lambda t: (t.held_until, t.id))[:limit]
        for task in taken:
            self.tasks[task.id] = replace(task, holder=holder, held_until=until)
        return [self.tasks[task.id] for task in taken]

    def prune(self, before: float) -> int:
        gone = [t for t in self.tasks.values() if t.state == "completed" and t.updated_at < before]
        for task in gone:
            del self.tasks[task.id]
        return len(gone)


async def agree(store: Any, steps: list[tuple[Any, ...]]) -> None:
    """Do the steps with both; they say and hold the same."""
    model = Model()
    for name, *arguments in steps:
        if name == "save":
            assert set(await store.save(*arguments)) == model.save(*arguments)
        elif name == "renew":
            assert set(await store.renew(*arguments)) == model.renew(*arguments)
        elif name == "adopt":
            assert list(await store.adopt(*arguments)) == model.adopt(*arguments)
        else:
            assert await store.prune(arguments[0], 100) == model.prune(arguments[0])
    for owner in ("ada", "bob"):
        page = await store.list(TaskQuery(owner=owner))
        mine = [task for task in model.tasks.values() if task.owner == owner]
        assert list(page.tasks) == sorted(
            mine, key=lambda task: (task.updated_at, task.id), reverse=True
        )
        assert page.total == len(mine)


Opener = Callable[[], contextlib.AbstractAsyncContextManager[TaskStore]]


@contextlib.asynccontextmanager
async def closing(store: Any) -> AsyncIterator[Any]:
    """The store, closed at the end."""
    try:
        yield store
    finally:
        await store.close()
