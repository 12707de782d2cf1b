"""One actor per run: the run's journal, budget and coordinator live in it, and it owns the agents.

It ends with the driver that made it, and every agent ends with it.
"""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import ray
from ray.exceptions import RayActorError, RayError

from codetether_ray.actors.agent import Links
from codetether_ray.actors.bus import RayBus
from codetether_ray.actors.calls import ask, reason, translated
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.directory import RayDirectory
from codetether_ray.actors.host import RayHost
from codetether_ray.actors.journal import Numbers
from codetether_ray.actors.limiter import RayLimiter
from codetether_ray.actors.nodes import on_this_node
from codetether_ray.actors.services import Services
from codetether_ray.core import failpoints
from codetether_ray.core.errors import ClusterError, JournalError, RunLostError
from codetether_ray.core.events import Record
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.journal import Journal
from codetether_ray.ports.ledger import Ledger, Reservation
from codetether_ray.ports.tool import ChildRuntime, SharedResult, ShareStore
from codetether_ray.sandbox.environment import tool_environment

_CALLS_AT_ONCE = 20_000
"""A parent that waits for a child holds one; so this bounds agents that wait, far away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the agents of a run reach through its supervisor."""

    journal: Journal
    ledger: Ledger
    shares: ShareStore | None = None
    children: ChildRuntime | None = None


class World:
    """What a run finds in its supervisor: given to the run function."""

    def __init__(self, run_id: str, services: Services, supervisor: Any) -> None:
        self.run_id = run_id
        self.bus: RayBus = services.bus()
        self.directory: RayDirectory = services.directory()
        self.limiter: RayLimiter = services.limiter()
        self.served: Served | None = None
        self.questions: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue()
        self._services = services
        self._supervisor = supervisor

    def host(self, wiring: str, *, stays: bool = False) -> RayHost:
        """A host whose agents are wired by the function that `wiring` (`module:function`) names.

        `stays`: they live on this node, where the run's files are.
        """
        environ = tuple(tool_environment(os.environ).items()) if stays else ()
        return RayHost(wiring, Links(self._supervisor, self._services, environ), stays=stays)

    def serve(self, served: Served) -> None:
        """Let agents reach the run's state; before the first agent starts."""
        self.served = served

    async def ask_driver(self, question: Any) -> Any:
        """Put a question (a plain value) to who drives the run; its answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.questions.put((question, answer))
        return await answer


RunFunction = Callable[[Any, World], Awaitable[Any]]
"""Does a run: takes plain options, returns a plain result. Cancelling it ends the run early; it
may still return a result then."""


class Supervisor:
    """The class of the actor; `RaySupervisor` is its client for the driver."""

    def __init__(
        self, run_id: str, services: Services, environ: Mapping[str, str] | None = None
    ) -> None:
        os.environ.update(environ or {})
        failpoints.arm(os.environ, "supervisor")
        self._run_id = run_id
        self._services = services
        self._world: World | None = None
        self._work: asyncio.Task[Any] | None = None
        self._begun = asyncio.Event()
        self._answer: asyncio.Future[Any] | None = None

    def __repr__(self) -> str:
        return f"Supervisor({self._run_id})"

    # -- for the driver ---------------------------------------------------------------------------

    async def run(self, function: str, options: object) -> Any:
        """Run the function that `module:function` names; its result."""
        if self._work is not None:
            raise ClusterError(f"{self!r} runs already")
        supervisor = ray.get_runtime_context().current_actor
        self._world = World(self._run_id, self._services, supervisor)
        module, _, name = function.partition(":")
        call = cast("RunFunction", getattr(importlib.import_module(module), name))
        self._work = asyncio.create_task(_whole(call(options, self._world)), name=function)
        self._begun.set()
        try:
            return await self._work
        except asyncio.CancelledError:
            raise ClusterError(f"the run {self._run_id} was cancelled") from None
        finally:
            await self._world.bus.aclose()

    async def cancel(self) -> bool:
        """Cancel the run, if it is under way; `run` answers when it has ended."""
        return self._work is not None and self._work.cancel()

    async def question(self) -> Any:
        """The next question of the run to its driver; None once the run is over."""
        await self._begun.wait()
        assert self._world is not None
        assert self._work is not None
        waiting = asyncio.create_task(self._world.questions.get())
        await asyncio.wait({waiting, self._work}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            return None
        question, self._answer = waiting.result()
        return question

    async def answer(self, value: Any) -> None:
        """Answer the last question."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(value)

    # -- for the agents ---------------------------------------------------------------------------

    async def append(self, batches: Sequence[Sequence[Record]]) -> list[Numbers | JournalError]:
        """Journal batches in order, all in one flush; of each its numbers, or why not."""
        append = self._served.journal.append
        answers: list[Numbers | JournalError] = []
        for kept in await asyncio.gather(*map(append, batches), return_exceptions=True):
            if isinstance(kept, JournalError):
                answers.append(kept)
            elif isinstance(kept, BaseException):
                raise kept
            else:
                answers.append([(record.seq, record.agent_seq) for record in kept])
        return answers

    async def read(self, agent: str | None) -> tuple[Record, ...]:
        """See `Journal`."""
        return await self._served.journal.read(agent)

    async def reserve(self, amount: Spend, owner: str) -> Reservation:
        """See `Ledger`."""
        return await self._served.ledger.reserve(amount, owner)

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """See `Ledger`."""
        await self._served.ledger.settle(reservation, actual)

    async def release(self, owner: str) -> None:
        """See `Ledger`."""
        await self._served.ledger.release(owner)

    async def spent(self) -> Spend:
        """See `Ledger`."""
        return await self._served.ledger.spent()

    async def limits(self) -> Budget:
        """See `Ledger`."""
        return await self._served.ledger.limits()

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        """See `ChildRuntime`."""
        children = self._served.children
        if children is None:
            raise ClusterError(f"{self!r} starts no children")
        return await children.run_child(parent, call_id, description, prompt)

    async def share(self, result: SharedResult) -> None:
        """See `ShareStore`."""
        await self._shares.publish(result)

    async def shared(self, key: str) -> SharedResult | None:
        """See `ShareStore`."""
        return await self._shares.get(key)

    async def all_shared(self, tags: tuple[str, ...], prefix: str) -> tuple[SharedResult, ...]:
        """See `ShareStore`."""
        return await self._shares.query(tags=tags, prefix=prefix)

    @property
    def _served(self) -> Served:
        served = None if self._world is None else self._world.served
        if served is None:
            raise ClusterError(f"{self!r} serves no run yet")
        return served

    @property
    def _shares(self) -> ShareStore:
        shares = self._served.shares
        if shares is None:
            raise ClusterError(f"{self!r} shares no results")
        return shares


async def _whole(call: Awaitable[Any]) -> Any:
    return await call


class RaySupervisor:
    """A run's supervisor as its driver sees it."""

    def __init__(self, run_id: str, actor: Any) -> None:
        self.run_id = run_id
        self.actor = actor

    @classmethod
    def start(cls, run_id: str, services: Services) -> "RaySupervisor":
        """Make the actor, on this node, where the run's files are. It ends with this process.

        It sees those variables of this process that a tool may see.
        """
        actor = (
            ray.remote(Supervisor)
            .options(
                name=f"{run_id} supervisor",
                namespace=NAMESPACE,
                num_cpus=0,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=_CALLS_AT_ONCE,
                scheduling_strategy=on_this_node(),
            )
            .remote(run_id, services, tool_environment(os.environ))
        )
        return cls(run_id, actor)

    async def run(self, function: str, options: object) -> Any:
        """Do the run that `module:function` names with plain `options`; its plain result.

        Raises:
            CodetetherError: what the run raised.
            RunLostError: the supervisor died.
            ClusterError: the run was cancelled and gave no result.
        """
        try:
            return await self.actor.run.remote(function, options)
        except RayActorError as error:
            raise RunLostError(self.run_id, reason(error)) from error
        except RayError as error:
            raise translated(error, f"the supervisor of {self}") from error

    async def cancel(self) -> bool:
        """Cancel the run; `run` answers when it has ended. False if it was over."""
        return bool(await ask(self.actor.cancel.remote(), f"the supervisor of {self}"))

    async def questions(self, answer: Callable[[Any], Awaitable[Any]]) -> None:
        """Answer the run's questions until it is over."""
        whom = f"the supervisor of {self}"
        while (question := await ask(self.actor.question.remote(), whom)) is not None:
            await ask(self.actor.answer.remote(await answer(question)), whom)

    def end(self) -> None:
        """End the actor and, with it, every agent of the run."""
        ray.kill(self.actor)

    def __str__(self) -> str:
        return self.run_id
