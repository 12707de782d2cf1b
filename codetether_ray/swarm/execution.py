"""Runs a plan: subtasks as their dependencies complete, merges in an order that never varies."""

import asyncio

from codetether_ray.core import failpoints
from codetether_ray.core.events import SubtaskChanged
from codetether_ray.swarm.plan import Subtask
from codetether_ray.swarm.recording import give_way
from codetether_ray.swarm.result import SubtaskResult
from codetether_ray.swarm.schedule import Blocked, Schedule
from codetether_ray.swarm.work import Work, Workplace, changed


class Execution:
    """One run of a plan. `results` tells at any time how every subtask stands.

    `settled` are the subtasks that earlier runs settled for good: they are not run.
    """

    def __init__(self, place: Workplace, settled: tuple[SubtaskResult, ...] = ()) -> None:
        self._place = place
        self._schedule = Schedule(place.plan)
        self._known = {result.subtask.id: result for result in settled}
        self._results: dict[str, SubtaskResult] = {}
        self._settled: dict[str, asyncio.Event] = {
            s.id: asyncio.Event() for s in place.plan.subtasks
        }
        self._ended: asyncio.Queue[SubtaskResult | BaseException] = asyncio.Queue()
        self._works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def results(self) -> tuple[SubtaskResult, ...]:
        """Every subtask's result so far, in plan order."""
        return tuple(
            self._results.get(s.id)
            or SubtaskResult(subtask=s, agent=f"sub/{s.id}", status=self._schedule.status(s.id))
            for s in self._place.plan.subtasks
        )

    async def run(self) -> tuple[SubtaskResult, ...]:
        """Run everything that can be run, merge all that completed; return all results.

        Cancelled, it ends the agents, records which subtasks were interrupted, and raises.
        """
        merging = asyncio.create_task(self._land_all())
        try:
            await self._advance([])
            while not self._schedule.is_finished:
                await self._advance(await self._take_ended())
            await merging
        except BaseException:
            merging.cancel()
            await self._stop()
            await asyncio.gather(merging, return_exceptions=True)
            raise
        return self.results

    # -- subtasks ---------------------------------------------------------------------------------

    async def _take_ended(self) -> list[SubtaskResult]:
        """Wait for an end; take with it all others that have come meanwhile."""
        ended = [await self._ended.get()]
        while not self._ended.empty():
            ended.append(self._ended.get_nowait())
        for entry in ended:
            if isinstance(entry, BaseException):
                raise entry
        return [entry for entry in ended if not isinstance(entry, BaseException)]

    async def _advance(self, ended: list[SubtaskResult]) -> None:
        """Note ends, tell who is blocked, start who is ready; one record for all of it."""
        events: list[SubtaskChanged] = []
        for result in ended:
            events += self._end(result)
        ready: list[Subtask] = []
        while found := self._schedule.take_ready():
            for subtask in found:
                if subtask.id in self._known:
                    events += self._end(self._known[subtask.id])
                else:
                    ready.append(subtask)
        events += [_queued(subtask) for subtask in ready]
        if events:
            await self._place.publisher.record(*events)
            failpoints.hit("subtask.queued")
        for subtask in ready:
            self._start(subtask)

    def _end(self, result: SubtaskResult) -> list[SubtaskChanged]:
        blocked = self._schedule.end(result.subtask.id, result.status)
        self._settle(result)
        return [self._block(entry) for entry in blocked]

    def _block(self, blocked: Blocked) -> SubtaskChanged:
        subtask = blocked.subtask
        cause = self._results[blocked.cause.id]
        result = SubtaskResult(
            subtask=subtask,
            agent=f"sub/{subtask.id}",
            status="blocked",
            error=f'it depends on "{cause.subtask.name}", which is {cause.status}',
        )
        self._settle(result)
        return changed(result)

    def _settle(self, result: SubtaskResult) -> None:
        self._results[result.subtask.id] = result
        self._settled[result.subtask.id].set()

    def _start(self, subtask: Subtask) -> None:
        work = self._works[subtask.id] = Work(self._place, subtask)
        needs = tuple(self._results[id] for id in subtask.dependencies)
        task = asyncio.create_task(self._do(work, needs), name=f"swarm {subtask.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Work, needs: tuple[SubtaskResult, ...]) -> None:
        try:
            self._ended.put_nowait(await work.run(needs))
        except Exception as error:  # noqa: BLE001 - a defect: `run` raises it and stops the others
            self._ended.put_nowait(error)

    async def _stop(self) -> None:
        """End every agent, and say which subtasks that cuts short."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        while not self._ended.empty():  # those that had come to their own end
            result = self._ended.get_nowait()
            if isinstance(result, SubtaskResult):
                self._results[result.subtask.id] = result
        cut = [self._interrupted(s) for s in self._place.plan.subtasks if s.id not in self._results]
        self._results.update((result.subtask.id, result) for result in cut)
        if cut:
            await self._place.publisher.record(*(changed(result) for result in cut))

    def _interrupted(self, subtask: Subtask) -> SubtaskResult:
        if subtask.id in self._works:
            return self._works[subtask.id].interrupted()
        return SubtaskResult(subtask=subtask, agent=f"sub/{subtask.id}", status="interrupted")

    # -- merges -----------------------------------------------------------------------------------

    async def _land_all(self) -> None:
        """Merge in topological order, ties by plan order: each waits for all before it."""
        for subtask in self._place.plan.merge_order:
            await self._settled[subtask.id].wait()
            result = self._results[subtask.id]
            if result.is_success and not result.merge:
                self._results[subtask.id] = await self._place.merger.land(result)
                give_way()


def _queued(subtask: Subtask) -> SubtaskChanged:
    return SubtaskChanged(
        id=subtask.id,
        name=subtask.name,
        status="queued",
        agent=f"sub/{subtask.id}",
        stage=subtask.stage,
    )
