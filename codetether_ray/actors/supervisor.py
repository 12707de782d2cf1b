"""One actor per run: the run's journal, budget and coordinator live in it, and it owns the agents.

It begins its work when it is made, and when Ray makes it again after its process died; then the
journal says where it goes on. On a shared head it outlives its driver, and ends itself.
"""

import asyncio
import importlib
import os
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import ray

from codetether_ray.actors.door import Badge
from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.pulse import Body, this_body
from codetether_ray.actors.services import Services
from codetether_ray.actors.world import World
from codetether_ray.core import failpoints
from codetether_ray.core.errors import ClusterError, CodetetherError

RunFunction = Callable[[Any, World], Awaitable[Any]]
"""Does a run: takes plain options, returns a plain result. It is cancelled, at most once and not
before it has set `World.begun`, to end the run early; it may still return a result then."""

_LOOK_S = 0.5
"""How often it is seen whether somebody wants the run to end."""
_LINGER_S = 15.0
"""How long a result waits for a driver that is away for a moment."""
_FAREWELL_S = 2.0
"""How long a driver that was told may take to end this actor itself."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run function ended: with a value, or with an error."""

    value: Any = None
    error: CodetetherError | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Something that the run wants to know of its driver."""

    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class News:
    """How a run stands."""

    body: Body
    """The supervisor's process now."""
    question: Question | None = None
    ended: Ended | None = None


class Supervisor:
    """The class of the actor; `RaySupervisor` is its client for drivers."""

    def __init__(self, run_id: str, services: Services, folder: str) -> None:
        """Begin the job that lies in `folder`."""
        self._run_id = run_id
        self._dossier = Dossier(Path(folder))
        job = self._dossier.job()
        os.environ.update(job.environ)
        failpoints.arm(os.environ, "supervisor")
        context = ray.get_runtime_context()
        self._me = context.current_actor
        self._body = this_body()
        self._world = World(
            run_id,
            services,
            self._me,
            dossier=self._dossier,
            lease_s=job.lease_s,
            since=job.since,
            is_far=job.brings_keys,
            is_restarted=context.was_current_actor_reconstructed,
        )
        self._question: Question | None = None
        self._answer: asyncio.Future[Any] | None = None
        self._ended: Ended | None = None
        self._is_told = asyncio.Event()
        self._is_unwanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._work: asyncio.Task[Any] = asyncio.create_task(self._call(job), name=job.function)
        self._life = asyncio.create_task(self._live(job, services))

    def __repr__(self) -> str:
        return f"Supervisor({self._run_id})"

    # -- for drivers ------------------------------------------------------------------------------

    async def news(self, known: str, wait_s: float) -> News:
        """How the run stands, as soon as it has ended or asks something else than `known`."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while not self._has_news(known):
            left_s = deadline - asyncio.get_running_loop().time()
            changed = self._changed
            waiting = asyncio.ensure_future(changed.wait())
            await asyncio.wait({waiting}, timeout=max(left_s, 0.0))
            waiting.cancel()
            if left_s <= 0:
                break
        if self._ended is not None:
            self._is_told.set()
        return News(self._body, self._question, self._ended)

    async def answer(self, id: str, value: Any) -> None:
        """Answer a question; one that was answered is left alone."""
        if self._question is None or self._question.id != id or self._answer is None:
            return
        if not self._answer.done():
            self._answer.set_result(value)
        self._question = None

    async def cancel(self) -> None:
        """Cancel the run, if it is under way; it ends soon."""
        self._is_unwanted.set()

    async def outlive(self) -> None:
        """Never return: who waits for this learns when this process has died."""
        await asyncio.Event().wait()

    # -- for agents -------------------------------------------------------------------------------

    async def call(
        self, badge: Badge, number: int, floor: int, verb: str, arguments: tuple[Any, ...]
    ) -> Any:
        """See `Door`."""
        return await self._world.door.call(badge, number, floor, verb, arguments)

    async def calls(self, calls: bytes, patience_s: float) -> bytes:
        """See `Door`."""
        return await self._world.door.calls_in_bytes(calls, patience_s)

    # -- the work ---------------------------------------------------------------------------------

    async def _call(self, job: Job) -> Any:
        await asyncio.to_thread(self._dossier.end_processes)
        if self._body.process is not None:
            self._dossier.note(self._body.process)
        await self._world.succeed()
        module, _, name = job.function.partition(":")
        function = cast("RunFunction", getattr(importlib.import_module(module), name))
        return await function(job.options, self._world)

    async def _live(self, job: Job, services: Services) -> None:
        asking = asyncio.create_task(self._take_questions())
        keeping = asyncio.create_task(services.keep(job.lease_s))
        looking = asyncio.create_task(self._look_for_cancel())
        ending = asyncio.create_task(self._end_unwanted())
        beside = [looking, ending, asking, keeping]
        if job.lasts:  # otherwise its driver, with which it ends, looks after it
            watching = services.watch(self._run_id, self._me, job.lease_s)
            beside.append(asyncio.create_task(watching))
        await asyncio.wait({self._work})
        await self._world.bus.aclose()
        self._ended = _ended(self._run_id, self._work)
        self._tell()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if job.lasts:
            await self._leave(job)

    async def _take_questions(self) -> None:
        count = 0
        while True:
            value, self._answer = await self._world.questions.get()
            count += 1
            self._question = Question(f"{self._body}.{count}", value)
            self._tell()
            await asyncio.wait({self._answer})

    async def _look_for_cancel(self) -> None:
        while not self._dossier.is_cancelled:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(_LOOK_S)
        self._is_unwanted.set()

    async def _end_unwanted(self) -> None:
        """Cancel the run once: a second time would cut off what the first one has it record."""
        await self._is_unwanted.wait()
        await self._world.begun.wait()
        self._work.cancel()

    async def _leave(self, job: Job) -> None:
        """End this actor once its result was told, or nobody came for it (the journal has it)."""
        told = asyncio.ensure_future(self._is_told.wait())
        await asyncio.wait({told}, timeout=_LINGER_S)
        told.cancel()
        await asyncio.sleep(_FAREWELL_S)
        self._dossier.remove(job)
        ray.kill(self._me)

    def _has_news(self, known: str) -> bool:
        return self._ended is not None or (
            self._question is not None and self._question.id != known
        )

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _ended(run_id: str, work: asyncio.Task[Any]) -> Ended:
    if work.cancelled():
        return Ended(error=ClusterError(f"the run {run_id} was cancelled"))
    error = work.exception()
    if error is None:
        return Ended(value=work.result())
    if isinstance(error, CodetetherError):
        return Ended(error=error)
    traceback.print_exception(error)  # into the log of this worker
    return Ended(
        error=ClusterError(f"the supervisor of {run_id} failed: {type(error).__name__}: {error}")
    )
