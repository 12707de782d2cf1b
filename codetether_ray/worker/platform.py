"""The platform: tasks that are asked for, offered to workers, claimed, done. See `ports.work`."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    UnknownWorkerError,
    UnknownWorkError,
    WorkStoreError,
    WorkTakenError,
)
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import (
    Changes,
    Ended,
    Heard,
    Held,
    Output,
    Worker,
    WorkStatus,
    WorkTask,
    WorkWish,
)
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.work import WorkStore, WorkTables
from codetether_ray.worker import rules
from codetether_ray.worker.bells import Bells, of_output, of_tenant, wait
from codetether_ray.worker.views import MOST, concerns, everything, offer, offers, own, seen

LEASE_S = 90.0
"""How long a claim holds without a heartbeat; workers send three in that time."""
KEEP_S = 30 * 24 * 3600.0
"""How long a task that is over is kept, with its output."""
_FORGET_EACH_S = 3600.0
_LATELY_S = 300.0
"""Workers that were not heard of for longer are not listed."""
T = TypeVar("T")
_Rung = set[str]
"""Names of the bells that a piece of work wants rung once it is on disk."""


class WorkPlatform:
    """Keeps `ports.work.Platform` over a store. Guards nothing itself: the store's work is whole.

    Each task has one holder at most: a claim and whatever a holder says of it are single pieces of
    work that see leases run out first.
    """

    def __init__(self, store: WorkStore, clock: Clock, *, lease_s: float = LEASE_S) -> None:
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        self._bells = Bells()
        self._sweeping: asyncio.Task[None] | None = None

    # -- for those who ask for tasks --------------------------------------------------------------

    async def create(self, asker: Principal, wish: WorkWish) -> WorkTask:
        """See `Platform.create`."""
        source = f"{asker.owner}\0{wish.source}"

        def work(tables: WorkTables, rung: _Rung) -> WorkTask:
            known = tables.asked_by(source, wish.event) if wish.event else None
            if known is not None:
                return tables.task(known)
            now = self._clock.now()
            task = WorkTask(
                id=wish.id or f"task_{secrets.token_hex(10)}",
                owner=asker.owner,
                tenant=asker.tenant_id,
                wish=wish,
                created_at=now,
                updated_at=now,
            )
            try:
                tables.add(task)
            except WorkTakenError:
                there = tables.task(task.id)
                if (there.owner, there.wish) == (asker.owner, wish):  # the same asked again
                    return there
                raise
            if wish.event:
                tables.note_event(source, wish.event, task.id)
            offer(tables, rung, task)
            return task

        return await self._do(work)

    async def task(self, asker: Principal, task_id: str, *, sees_all: bool = False) -> WorkTask:
        """See `Platform.task`."""
        return await self._do(lambda tables, _: seen(tables, asker, task_id, sees_all=sees_all))

    async def tasks(
        self,
        asker: Principal,
        *,
        status: WorkStatus | None = None,
        limit: int = 100,
        before: str | None = None,
        sees_all: bool = False,
    ) -> tuple[WorkTask, ...]:
        """See `Platform.tasks`."""
        owner = None if sees_all else asker.owner
        tenant = asker.tenant_id or None
        return await self._do(lambda tables, _: tables.listed(owner, status, limit, before, tenant))

    async def cancel(
        self,
        asker: Principal,
        task_id: str,
        *,
        source: str = "",
        event: str = "",
        sees_all: bool = False,
    ) -> WorkTask:
        """See `Platform.cancel`."""
        by = f"{asker.owner}\0{source}"

        def work(tables: WorkTables, rung: _Rung) -> WorkTask:
            task = seen(tables, asker, task_id, sees_all=sees_all)
            if event and tables.asked_by(by, event) is not None:
                return task
            if event:
                tables.note_event(by, event, task_id)
            now_is = rules.cancelled(task, self._clock.now())
            if now_is == task:
                return task
            tables.put(now_is)
            if now_is.is_cancelling:
                tables.note("cancel", now_is)
                rung.add(of_tenant(now_is.tenant))
            rung.add(of_output(task_id))
            return now_is

        return await self._do(work)

    async def outputs(
        self,
        asker: Principal,
        task_id: str,
        *,
        after: int = 0,
        wait_s: float = 0.0,
        sees_all: bool = False,
    ) -> tuple[tuple[Output, ...], bool]:
        """See `Platform.outputs`."""

        def work(tables: WorkTables, _: _Rung) -> tuple[tuple[Output, ...], bool]:
            task = seen(tables, asker, task_id, sees_all=sees_all)
            found = tables.outputs(task_id, after, MOST)
            return found, task.is_over and len(found) < MOST

        def is_enough(found: tuple[tuple[Output, ...], bool]) -> bool:
            return bool(found[0]) or found[1]

        return await self._awaited(of_output(task_id), work, is_enough, wait_s)

    # -- for workers ------------------------------------------------------------------------------

    async def register(self, asker: Principal, worker: Worker) -> Worker:
        """See `Platform.register`."""

        def work(tables: WorkTables, _: _Rung) -> Worker:
            now = self._clock.now()
            with suppress(UnknownWorkerError):
                if tables.worker(worker.id).owner != asker.owner:
                    raise WorkTakenError(worker.id, "is a worker's id of somebody else")
            known = replace(
                worker,
                tenant=asker.tenant_id,
                owner=asker.owner,
                registered_at=now,
                seen_at=now,
            )
            tables.put_worker(known)
            return known

        return await self._do(work)

    async def workers(self, asker: Principal, *, sees_all: bool = False) -> tuple[Worker, ...]:
        """See `Platform.workers`."""
        tenant = None if sees_all and not asker.tenant_id else asker.tenant_id
        since = self._clock.now() - max(_LATELY_S, 3 * self._lease_s)
        return await self._do(lambda tables, _: tables.workers(tenant, since))

    async def pending(self, asker: Principal, worker_id: str = "") -> tuple[WorkTask, ...]:
        """See `Platform.pending`."""

        def work(tables: WorkTables, rung: _Rung) -> tuple[WorkTask, ...]:
            self._sweep(tables, rung)
            if not worker_id:
                return tuple(islice(tables.offered(asker.tenant_id), MOST))
            worker = own(tables, asker, worker_id)
            return tuple(islice(offers(tables, worker), MOST))

        return await self._do(work)

    async def claim(self, asker: Principal, worker_id: str, task_id: str) -> WorkTask:
        """See `Platform.claim`."""

        def work(tables: WorkTables, rung: _Rung) -> WorkTask:
            self._sweep(tables, rung)
            worker = own(tables, asker, worker_id)
            task = tables.task(task_id)
            if task.tenant != worker.tenant:
                raise UnknownWorkError(task_id)
            taken = rules.claimed(task, worker, self._clock.now(), self._lease_s)
            tables.put(taken)
            return taken

        return await self._do(work)

    async def output(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        texts: Sequence[str],
        *,
        first: int | None = None,
        lease: int | None = None,
    ) -> int:
        """See `Platform.output`."""

        def work(tables: WorkTables, rung: _Rung) -> int:
            task = self._held(tables, rung, asker, worker_id, task_id)
            rules.demand_held(task, worker_id, lease)
            expected = tables.append(task_id, task.lease, first, texts)
            rung.add(of_output(task_id))
            return expected

        return await self._do(work)

    async def release(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        ended: Ended,
        *,
        lease: int | None = None,
    ) -> WorkTask:
        """See `Platform.release`."""

        def work(tables: WorkTables, rung: _Rung) -> WorkTask:
            task = self._held(tables, rung, asker, worker_id, task_id)
            left = rules.released(task, worker_id, lease, ended, self._clock.now())
            if left == task:
                return task
            tables.put(left)
            if left.status == "pending":
                offer(tables, rung, left)
            rung.add(of_output(task_id))
            return left

        return await self._do(work)

    async def heartbeat(
        self,
        asker: Principal,
        worker_id: str,
        *,
        status: str = "idle",
        active: int = 0,
        held: Sequence[Held] | None = None,
        cognition: JsonObject | None = None,
    ) -> Heard:
        """See `Platform.heartbeat`."""

        def work(tables: WorkTables, rung: _Rung) -> Heard:
            self._sweep(tables, rung)
            worker = own(tables, asker, worker_id)
            now = self._clock.now()
            alive = replace(worker, seen_at=now, status=status, active=active)
            tables.put_worker(alive if cognition is None else replace(alive, cognition=cognition))
            mine = tables.held(worker_id)
            for task in rules.renewed(mine, held, now, self._lease_s):
                tables.put(task)
            have = {(task.id, task.lease) for task in mine}
            return Heard(
                cancelled=tuple(task.id for task in mine if task.is_cancelling),
                lost=tuple(one.id for one in held or () if (one.id, one.lease) not in have),
                lease_s=self._lease_s,
            )

        return await self._do(work)

    async def changes(
        self, asker: Principal, worker_id: str, *, after: int | None = None, wait_s: float = 0.0
    ) -> Changes:
        """See `Platform.changes`."""

        def work(tables: WorkTables, rung: _Rung) -> Changes:
            self._sweep(tables, rung)
            worker = own(tables, asker, worker_id)
            oldest, newest = tables.change_range()
            if after is None or not oldest - 1 <= after <= newest:
                return everything(tables, worker, newest)
            found = tables.changes(after, MOST)
            items = tuple(change for change in found.items if concerns(change, worker))
            return Changes(items=items, last=found.last)

        def is_enough(found: Changes) -> bool:
            return bool(found.items) or (after is not None and found.last > after)

        return await self._awaited(of_tenant(asker.tenant_id), work, is_enough, wait_s)

    # -- the platform itself ----------------------------------------------------------------------

    async def is_ready(self) -> bool:
        """See `Platform.is_ready`."""
        try:
            await self._do(lambda tables, _: tables.change_range())
        except WorkStoreError:
            return False
        return True

    async def close(self) -> None:
        """See `Platform.close`."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})
        await self._store.close()

    async def _do(self, work: Callable[[WorkTables, _Rung], T]) -> T:
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._keep_sweeping(), name="work-sweeping")
            await self._store.do(self._renew_all)  # before anything else is done
        rung: _Rung = set()
        value = await self._store.do(lambda tables: work(tables, rung))
        for name in rung:
            self._bells.ring(name)
        return value

    async def _awaited(
        self,
        bell: str,
        work: Callable[[WorkTables, _Rung], T],
        is_enough: Callable[[T], bool],
        wait_s: float,
    ) -> T:
        """What the work gives as soon as that is enough; after `wait_s` whatever it gives."""
        end = self._clock.monotonic() + wait_s
        while True:
            with self._bells.listening(bell) as rung:
                found = await self._do(work)
                left = end - self._clock.monotonic()
                if is_enough(found) or left <= 0:
                    return found
                await wait(rung, left)

    async def _keep_sweeping(self) -> None:
        """Offer what workers fell silent over again, and forget what is long over."""
        forgets_at = 0.0
        while True:
            await self._clock.sleep(self._lease_s / 4)
            with suppress(WorkStoreError):  # told to whoever asks for something
                await self._do(self._sweep)
                now = self._clock.now()
                if now >= forgets_at and not await self._do(self._forget):
                    forgets_at = now + _FORGET_EACH_S

    def _forget(self, tables: WorkTables, _: _Rung) -> int:
        return tables.forget(self._clock.now() - KEEP_S, MOST)

    def _renew_all(self, tables: WorkTables) -> None:
        """What was running when the platform came up gets a whole lease: its worker may live."""
        now = self._clock.now()
        for task in tables.overdue(now + self._lease_s):
            tables.put(replace(task, lease_until=now + self._lease_s))

    def _sweep(self, tables: WorkTables, rung: _Rung) -> None:
        """Take back what workers fell silent over."""
        now = self._clock.now()
        for task in tables.overdue(now):
            left = rules.expired(task, now)
            tables.put(left)
            if left.status == "pending":
                offer(tables, rung, left)
            rung.add(of_output(task.id))

    def _held(
        self, tables: WorkTables, rung: _Rung, asker: Principal, worker_id: str, task_id: str
    ) -> WorkTask:
        """The task of which a worker says something, leases seen to first."""
        self._sweep(tables, rung)
        worker = own(tables, asker, worker_id)
        task = tables.task(task_id)
        if task.tenant != worker.tenant:
            raise UnknownWorkError(task_id)
        return task
