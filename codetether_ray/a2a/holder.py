"""Holds the tasks that are worked on here: begins, renews, takes over, lets go."""

import asyncio
import logging
from dataclasses import replace

from a2a.types import Message, Task, TaskPushNotificationConfig, TaskState, TaskStatusUpdateEvent

from codetether_ray.a2a.agents import Order
from codetether_ray.a2a.doing import conclude, do, push, release
from codetether_ray.a2a.draft import Draft
from codetether_ray.a2a.means import Means
from codetether_ray.a2a.orders import PUSHES_LEFT, decode_order
from codetether_ray.a2a.work import Work
from codetether_ray.core.principals import Principal
from codetether_ray.ports.task_channel import Signal
from codetether_ray.ports.tasks import TaskRecord

_log = logging.getLogger(__name__)
_STRIDE = 1 << 20
"""Versions that a take-over skips: its former holder may have told some that it never saved."""
_ADOPTED_AT_ONCE = 50


class Holder:
    """Of each task at most one work is here; across replicas the store sees to it."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._renewed_at = self._looked_at = float("-inf")
        self._succeeding: asyncio.Task[None] | None = None

    def begin(self, order: Order, config: TaskPushNotificationConfig | None) -> Work:
        """Begin a new task."""
        work = self._work(order, version=1, is_new=True)
        if config is not None:
            work.configs[config.id] = config
        self._start(work)
        return work

    async def go_on(self, record: TaskRecord, order: Order, message: Message) -> Work | None:
        """Begin the next turn of a task that waits; None where another was quicker.

        The order's task is the stored one, ours to change; it hears the message here.
        """
        if record.id in self._means.works:
            return None
        work = self._work(order, version=record.version, is_new=False)
        work.draft.hear(message)
        work.draft.take(work.draft.status(TaskState.TASK_STATE_WORKING))
        work.initial = work.draft.snapshot()
        work.order = replace(order, task=work.initial)
        if not await self._claim(work, record):
            return None
        self._start(work)
        return work

    async def cancel_idle(self, record: TaskRecord, task: Task) -> bool:
        """Cancel a task that nobody works on; False where another was quicker."""
        if record.id in self._means.works:
            return False
        principal = Principal(user_id=record.owner)  # nothing will be done in its name
        order = Order(task=task, message=Message(), principal=principal)
        work = self._work(order, version=self._next(record), is_new=False)
        work.owner = record.owner
        self._means.works[work.id] = work
        try:
            await self._load_configs(work)
            work.take(work.draft.status(TaskState.TASK_STATE_CANCELED))
            await conclude(work, self._means)
        finally:
            self._forget(work)
        return not work.is_lost

    async def cancel(self, work: Work) -> None:
        """Have the agent stop."""
        await self._means.agents.cancel(work.draft.snapshot())

    async def on_signal(self, task_id: str, word: Signal) -> None:
        """Do what another replica asks of a task's holder."""
        work = self._means.works.get(task_id)
        if work is None:
            return
        if word == "cancel":
            self._means.go(self._cancel_quietly(work))
        elif word == "pushes":
            await self._load_configs(work)
        elif work.saved >= work.first and not work.draft.is_resting:
            await self._means.publish(work, work.draft.snapshot())

    async def pushes_changed(self, task_id: str) -> None:
        """A task's push configurations are others now: its holder reads them, wherever it is."""
        if task_id in self._means.works:
            await self.on_signal(task_id, "pushes")
        else:
            await self._means.signal(task_id, "pushes")

    async def tend(self) -> None:
        """Save, announce, renew and take over, again and again."""
        means = self._means
        while True:
            try:
                self._look_around()
                self._look_after()
                if means.clock.monotonic() - self._renewed_at >= means.timing.lease / 3:
                    self._renewed_at = means.clock.monotonic()
                    await self._renew()
                    await self.adopt()
            except Exception:  # noqa: BLE001  # the store may be away for a while
                _log.exception("the tasks held here could not be tended; trying again")
            await means.clock.sleep(means.timing.tick)

    async def adopt(self) -> None:
        """Take over what was left behind."""
        means = self._means
        now = means.clock.now()
        records = await means.store.adopt(
            means.holder, now, now + means.timing.lease, _ADOPTED_AT_ONCE
        )
        for record in records:
            former = means.works.pop(record.id, None)
            if former is not None:  # our own lease had run out
                former.lose()
            try:
                await self._take_up(record)
            except Exception:  # noqa: BLE001  # one that can't be read must not stop the others
                _log.exception("task %s could not be taken up", record.id)

    def _look_around(self) -> None:
        """Have it asked who has died; renewing waits for no answer."""
        means = self._means
        is_asking = self._succeeding is not None and not self._succeeding.done()
        if not is_asking and means.clock.monotonic() - self._looked_at >= means.timing.look:
            self._looked_at = means.clock.monotonic()
            self._succeeding = means.go(self._succeed())

    async def _succeed(self) -> None:
        try:
            await self._take_from_the_dead()
        except Exception:  # noqa: BLE001  # the store may be away for a while; leases run out
            _log.exception("what dead holders have left could not be taken up; trying again")

    async def _take_from_the_dead(self) -> None:
        """Take over at once what is watched here and whose holder is known to have died."""
        means = self._means
        held: dict[str, list[str]] = {}
        for watch in means.watches:
            if watch.holder not in ("", means.holder):
                held.setdefault(watch.holder, []).append(watch.task_id)
        for holder, task_ids in held.items():
            if await means.is_gone(holder):
                await means.store.renew(holder, task_ids, means.clock.now())  # to its end
                await self.adopt()

    async def close(self) -> None:
        """Leave everything to be taken up at once."""
        means = self._means
        works = [work for work in means.works.values() if not work.is_over]
        means.works.clear()
        for work in works:
            if work.doing is not None:
                work.doing.cancel()
        await means.saver.close()
        now = means.clock.now()
        left = [work for work in works if work.is_announced]
        for work in left:
            work.version += not work.draft.is_resting
        records = [w.record(means.holder, now, 0.0) for w in left if w.saved < w.version]
        try:
            refused = await means.store.save(records) if records else ()
            for work in left:
                if work.id not in refused and work.draft.is_resting:
                    work.mark_saved(work.version, 0.0)
        except Exception:  # noqa: BLE001  # their leases run out, and they are taken up then
            _log.exception("%d tasks could not be handed over at once", len(records))
        for work in works:
            work.lose()

    def _work(self, order: Order, *, version: int, is_new: bool) -> Work:
        limits = self._means.limits
        task = Task()
        task.CopyFrom(order.task)
        clock = self._means.clock
        draft = Draft(task, limits, clock.now, is_told_anew=order.is_taken_up)
        return Work(
            order,
            draft,
            version=version,
            is_new=is_new,
            log_size=limits.event_log,
            born_at=clock.now(),
        )

    def _start(self, work: Work) -> None:
        self._means.works[work.id] = work
        work.doing = self._means.go(do(work, self._means))
        work.doing.add_done_callback(lambda _: self._forget(work))

    def _forget(self, work: Work) -> None:
        if self._means.works.get(work.id) is work:
            del self._means.works[work.id]

    def _next(self, record: TaskRecord) -> int:
        return record.version + (_STRIDE if record.order else 1)

    async def _claim(self, work: Work, record: TaskRecord) -> bool:
        """Make the task ours in the store, and tell that it goes on."""
        work.version = work.first = self._next(record)
        self._means.works[work.id] = work
        try:
            await self._load_configs(work)
            if await self._means.saver.save(work):
                await self._means.publish(work, work.initial)
                return True
        except BaseException:
            self._forget(work)
            raise
        self._forget(work)
        return False

    async def _load_configs(self, work: Work) -> None:
        if self._means.deliveries is None:
            return
        records = await self._means.store.pushes(work.id, None)
        work.configs = {
            each.id: TaskPushNotificationConfig.FromString(each.payload) for each in records
        }

    async def _take_up(self, record: TaskRecord) -> None:
        task = Task.FromString(record.payload)
        if record.order == PUSHES_LEFT:
            await self._push_end(record, task)
            return
        order = decode_order(record.order, task)
        work = self._work(order, version=record.version, is_new=False)
        if await self._claim(work, record):
            self._start(work)

    async def _push_end(self, record: TaskRecord, task: Task) -> None:
        order = Order(task=task, message=Message(), principal=Principal(user_id=record.owner))
        work = self._work(order, version=record.version, is_new=False)
        work.owner = record.owner
        await self._load_configs(work)
        status = work.draft.task.status
        push(
            work,
            self._means,
            TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=status),
        )
        self._means.go(release(work, self._means))

    async def _cancel_quietly(self, work: Work) -> None:
        try:
            await self.cancel(work)
        except Exception:  # noqa: BLE001  # who asked waits for the state, and reads it
            _log.exception("task %s could not be cancelled", work.id)

    def _look_after(self) -> None:
        means = self._means
        now = means.clock.now()
        for work in tuple(means.works.values()):
            if work.held_until < now:
                work.lose()
            elif (
                work.version > work.saved
                and not work.draft.is_resting
                and now - work.born_at >= means.timing.tick
            ):
                work.has_begun = True
                work.ring()
                means.saver.want(work)

    async def _renew(self) -> None:
        means = self._means
        works = {w.id: w for w in means.works.values() if w.saved >= w.first and not w.is_over}
        names = [*works, *means.pushing]
        if not names:
            return
        until = means.clock.now() + means.timing.lease
        lost = set(await means.store.renew(means.holder, names, until))
        for name, work in works.items():
            if name in lost and not work.draft.is_resting:
                work.lose()
            elif work.held_until != float("inf"):
                work.held_until = until
