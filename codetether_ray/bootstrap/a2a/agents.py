"""The agents behind A2A tasks: each context is a session, each message a turn of it."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

from a2a.types import Task

from codetether_ray.a2a.agents import Order, Update
from codetether_ray.bootstrap.a2a.asking import Asked, Terms
from codetether_ray.bootstrap.a2a.contexts import wanted
from codetether_ray.bootstrap.a2a.leaving import PATCH_TYPE
from codetether_ray.bootstrap.a2a.parts import received
from codetether_ray.bootstrap.a2a.telling import Telling, takes
from codetether_ray.bootstrap.a2a.turns import Turn, Turns
from codetether_ray.bootstrap.a2a.workspaces import Yield
from codetether_ray.bootstrap.policies import open_policy
from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import ClusterError, UsageError
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Budget


class AgentOptions(Protocol):
    """What of an ingress' options concerns its agents; see `IngressOptions`."""

    @property
    def directory(self) -> str:
        """The repository that workspaces are clones of."""
        ...

    @property
    def model(self) -> str:
        """`provider/model`; empty: the settings'."""
        ...

    @property
    def max_steps(self) -> int | None:
        """Of one turn."""
        ...

    @property
    def timeout_s(self) -> float | None:
        """Of one turn."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """Of one turn."""
        ...

    @property
    def budget_usd(self) -> float | None:
        """Of one turn."""
        ...


async def open_agents(options: AgentOptions, reach: Reach) -> "SessionAgents":
    """The agents of an ingress; `close` lets go of them."""
    turns = await open_turns(options, reach)
    return SessionAgents(turns, options.directory)


async def open_turns(options: AgentOptions, reach: Reach) -> Turns:
    """What does their turns, and those of sessions over HTTP; the gate's policy gives tools.

    Raises:
        ConfigError: OPA_URL is no address.
    """
    policy = await open_policy(reach.truth, os.environ)
    budget = Budget(tokens=options.max_tokens, usd=options.budget_usd)
    turns = Turns(
        reach,
        policy,
        Terms(
            model=options.model,
            max_steps=options.max_steps,
            timeout_s=options.timeout_s,
            budget=budget,
        ),
    )
    await turns.open()
    return turns


class SessionAgents:
    """Implements `TaskAgents` by sessions."""

    def __init__(self, turns: Turns, repository: str) -> None:
        """`repository`: what workspaces are clones of; empty: they begin empty."""
        self.turns = turns
        self._repository = repository

    async def work(self, order: Order) -> AsyncIterator[Update]:
        """See `TaskAgents.work`."""
        telling = Telling(order)
        for update in telling.begun():
            yield update
        try:
            turn = self._turn(order)
        except UsageError as error:
            for update in telling.ended(_refused(error), Yield()):
                yield update
            return
        ear = turn.listen()
        try:
            async for record in ear.records():
                for update in telling.told(record):
                    yield update
        finally:
            turn.deafen(ear)
        result = await turn.result()
        for update in telling.ended(result, await self._left(turn, order)):
            yield update

    async def cancel(self, task: Task) -> None:
        """See `TaskAgents.cancel`."""
        prefix = f"{task.id} "
        turn = self.turns.find(lambda turn: turn.asked.order.startswith(prefix))
        if turn is not None:
            turn.cancel()

    async def close(self) -> None:
        """See `TaskAgents.close`."""
        await self.turns.close()

    def _turn(self, order: Order) -> Turn:
        """The turn of an order: the one that is going here, or a new one."""
        name = f"{order.task.id} {order.message.message_id}"
        going = self.turns.find(lambda turn: turn.asked.order == name)
        if going is not None:
            return going
        got = received(order.message)
        owner, context_id = order.principal.owner, order.task.context_id
        context = wanted(owner, context_id, repository=self._repository)
        asked = Asked(
            principal=order.principal,
            context=context,
            message=got.message,
            files=got.files,
            order=name,
            is_taken_up=order.is_taken_up,
        )
        return self.turns.start(asked)

    async def _left(self, turn: Turn, order: Order) -> Yield:
        with suppress(ClusterError):
            return await self.turns.leavings(turn, with_patch=takes(order.output_modes, PATCH_TYPE))
        return Yield(notes=("what the agent left cannot be had now: the head does not answer",))


def _refused(error: UsageError) -> SessionResult:
    turn = TurnResult(outcome="failed", error=str(error), error_kind=type(error).__name__)
    return SessionResult(session_id="", turn=turn)
