"""Whatever happens to replicas, streams, channel and store: everybody ends with the same task.

Hypothesis drives a world: tasks begin, agents tell, ask and end, clients send, subscribe, go away
and cancel, replicas come, close and die, the channel loses events, the store fails and stands
still. At the end all is calm for a while, and then each task is what its agent said, each stream
that was open has told just that, and each sender has its answer.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from a2a.types import CancelTaskRequest, SubscribeToTaskRequest, Task
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from codetether_ray.a2a.handler import TaskHandler
from codetether_ray.a2a.limits import Limits
from codetether_ray.a2a.states import RESTING, TERMINAL
from tests.unit.a2a.world import (
    COMPLETED,
    INPUT_REQUIRED,
    WORKING,
    Reader,
    World,
    context,
    delta,
    request,
    status,
    text_of,
)

_picks = st.integers(0, 7)


class A2aMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sends: dict[str, list[asyncio.Task[Any]]] = {}
        self.readers: list[tuple[str, int, Reader]] = []
        self.said: dict[str, int] = {}
        self.count = 0

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        self.world = self.do(self._world())

    async def _world(self) -> World:
        world = World(limits=Limits(event_log=6))
        await world.replica("r0")
        self.count = 1
        return world

    def handler(self, pick: int) -> TaskHandler:
        return self.world.handlers[pick % len(self.world.handlers)]

    def task_id(self, pick: int) -> str:
        ids = list(self.said)
        return ids[pick % len(ids)]

    async def _send(self, pick: int, task_id: str) -> None:
        self.count += 1
        handler = self.handler(pick)
        before = len(self.world.stage.orders)
        asking = request(str(self.count), message_id=f"m{self.count}", task_id=task_id)
        sent = asyncio.create_task(handler.on_message_send(asking, context()))
        await self.world.settle()
        if len(self.world.stage.orders) == before:
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)
            return
        task_id = self.world.stage.last
        self.said.setdefault(task_id, 0)
        self.sends.setdefault(task_id, []).append(sent)

    @rule(pick=_picks)
    def a_task_begins(self, pick: int) -> None:
        if len(self.said) < 3:
            self.do(self._send(pick, ""))

    @precondition(lambda self: self.said)
    @rule(pick=_picks, which=_picks)
    def a_follow_up_is_sent(self, pick: int, which: int) -> None:
        self.do(self._send(pick, self.task_id(which)))

    @precondition(lambda self: self.said)
    @rule(which=_picks, count=st.integers(1, 9), is_calm=st.booleans())
    def an_agent_tells(self, which: int, count: int, is_calm: bool) -> None:
        self.do(self._tell(self.task_id(which), count, is_calm))

    async def _tell(self, task_id: str, count: int, is_calm: bool) -> None:
        for _ in range(count):
            self.world.stage.tell(task_id, delta(f"{self.said[task_id]} "))
            self.said[task_id] += 1
        if is_calm:
            await self.world.settle()

    @precondition(lambda self: self.said)
    @rule(which=_picks, end=st.sampled_from([COMPLETED, INPUT_REQUIRED, WORKING]))
    def an_agent_says_how_it_stands(self, which: int, end: int) -> None:
        self.do(self._say(self.task_id(which), end))

    async def _say(self, task_id: str, end: int) -> None:
        self.world.stage.tell(task_id, status(end))
        await self.world.settle()

    @precondition(lambda self: self.said)
    @rule(pick=_picks, which=_picks)
    def somebody_subscribes(self, pick: int, which: int) -> None:
        self.do(self._subscribe(pick, self.task_id(which)))

    async def _subscribe(self, pick: int, task_id: str) -> None:
        asked = SubscribeToTaskRequest(id=task_id)
        reader = Reader(self.handler(pick).on_subscribe_to_task(asked, context()))
        self.readers.append((task_id, id(self.handler(pick)), reader))
        await self.world.settle()

    @precondition(lambda self: self.readers)
    @rule(which=_picks)
    def a_reader_goes_away(self, which: int) -> None:
        self.do(self.readers.pop(which % len(self.readers))[2].stop())

    @precondition(lambda self: self.said)
    @rule(pick=_picks, which=_picks)
    def somebody_cancels(self, pick: int, which: int) -> None:
        self.do(self._cancel(pick, self.task_id(which)))

    async def _cancel(self, pick: int, task_id: str) -> None:
        asked = CancelTaskRequest(id=task_id)
        sent = asyncio.create_task(self.handler(pick).on_cancel_task(asked, context()))
        await self.world.settle(0.3)
        sent.cancel()
        await asyncio.gather(sent, return_exceptions=True)

    @precondition(lambda self: len(self.world.handlers) < 3)
    @rule()
    def a_replica_comes(self) -> None:
        self.count += 1
        self.do(self.world.replica(f"r{self.count}"))

    @precondition(lambda self: len(self.world.handlers) > 1)
    @rule(pick=_picks, is_killed=st.booleans())
    def a_replica_goes(self, pick: int, is_killed: bool) -> None:
        handler = self.handler(pick)
        self.do(self._leave(handler, is_killed))

    async def _leave(self, handler: TaskHandler, is_killed: bool) -> None:
        self.world.store.is_open.set()
        for entry in [entry for entry in self.readers if entry[1] == id(handler)]:
            self.readers.remove(entry)
            await entry[2].stop()
        if is_killed:
            await self.world.kill(handler)
        else:
            self.world.handlers.remove(handler)
            await handler.close()
        for sends in self.sends.values():
            for sent in sends:
                if not sent.done():  # its connection may be gone as well
                    sent.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
            sends.clear()
        known = set(self.world.store.records)
        for other in self.world.handlers:
            known |= set(other._means.works)
        for task_id in set(self.said) - known:
            del self.said[task_id]  # nobody had been told of it
        await self.world.settle()

    @rule(seconds=st.sampled_from([0.3, 2.0, 20.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.do(self.world.settle(seconds))

    @precondition(lambda self: self.said)
    @rule(which=_picks)
    def the_channel_loses_events(self, which: int) -> None:
        self.world.hub.listeners.lose(self.task_id(which))

    @rule()
    def the_store_fails_once(self) -> None:
        self.world.store.failures = 1

    @rule(is_open=st.booleans())
    def the_store_stands_still_or_goes_on(self, is_open: bool) -> None:
        if is_open:
            self.world.store.is_open.set()
        else:
            self.world.store.is_open.clear()

    @invariant()
    def nobody_is_told_of_a_rest_that_is_not_on_disk(self) -> None:
        for task_id, _, reader in self.readers:
            last = reader.told[-1] if reader.told else None
            state = getattr(getattr(last, "status", None), "state", None)
            if state in TERMINAL:
                assert self.world.store.records[task_id].state in ("completed", "canceled")

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.do(self._calm())
                self.do(self.world.close())
        finally:
            self.loop.close()

    async def _calm(self) -> None:
        world = self.world
        world.store.is_open.set()
        world.store.failures = 0
        await world.settle(40.0)  # what was left is taken up
        for task_id in self.said:
            world.stage.tell(task_id, delta("end", append=False), status(COMPLETED))
        await world.settle(20.0)
        for task_id, sends in self.sends.items():
            answers = await asyncio.gather(*sends)
            assert all(isinstance(answer, Task) for answer in answers), task_id
        for task_id in self.said:
            task = Task.FromString(world.store.records[task_id].payload)
            assert task.status.state in RESTING
            assert not world.store.records[task_id].order
            for other, _, reader in self.readers:
                if other == task_id and reader.error is None and reader.is_done:
                    assert reader.text == text_of(task)
                if other == task_id and task.status.state in TERMINAL:
                    assert reader.is_done
        assert not any(handler._means.works for handler in world.handlers)


TestA2aMachine = A2aMachine.TestCase
TestA2aMachine.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
