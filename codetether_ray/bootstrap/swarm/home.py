"""A swarm where its run lives."""

from dataclasses import dataclass, replace
from typing import cast

from codetether_ray.bootstrap.home import RunHome
from codetether_ray.bootstrap.run_home import Ask, Place, delivered, recorded, spent_by
from codetether_ray.bootstrap.swarm.approval import PlanApproval, audited_ask
from codetether_ray.bootstrap.swarm.request import SwarmRequest
from codetether_ray.core.codec import JsonObject, decode, encode
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.usage import Usage
from codetether_ray.swarm.coordinator import SwarmCoordinator
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan
from codetether_ray.swarm.result import SwarmResult, exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A plan that somebody has to agree to, and what it may take."""

    plan: Plan
    cost: Estimate

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return {
            "subtasks": list(self.plan.to_json()),
            "warnings": list(self.plan.warnings),
            "cost": encode(self.cost),
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> "Question":
        """Read `to_json`'s form."""
        subtasks = cast("list[JsonObject]", data["subtasks"])
        warnings = cast("list[str]", data["warnings"])
        plan = Plan.from_json(tuple(subtasks), tuple(warnings))
        return cls(plan=plan, cost=decode(Estimate, data["cost"]))


async def swarm_in_home(home: RunHome, request: SwarmRequest, ask: Ask) -> JsonObject:
    """Run the swarm to its result, the object that `--json` prints.

    Cancelled, it ends the agents and returns a result of outcome `cancelled`.

    Raises:
        CodetetherError: there is nothing to work on (no such directory, git refuses, …).
    """
    result = await _Swarm(home, request, ask).done(only_plan=False)
    assert result is not None
    return result


async def plan_in_home(home: RunHome, request: SwarmRequest, ask: Ask) -> JsonObject | None:
    """Begin the swarm, up to a plan that is agreed to; who resumes it carries that out.

    A result is the swarm's own: there is no plan, it was not agreed to, or it was cancelled.

    Raises:
        CodetetherError: there is nothing to work on.
    """
    return await _Swarm(home, request, ask).done(only_plan=True)


def unrecorded(request: SwarmRequest, error: CodetetherError) -> JsonObject:
    """The result of a swarm whose end could not be recorded; what it had finished is kept."""
    return _to_json(
        SwarmResult(
            swarm_id=request.swarm_id,
            outcome="failed",
            error=str(error),
            error_kind=type(error).__name__,
        )
    )


class _Swarm:
    """One swarm in its home."""

    def __init__(self, home: RunHome, request: SwarmRequest, ask: Ask) -> None:
        self._home = home
        self._request = request
        self._ask = ask
        self._coordinator: SwarmCoordinator | None = None

    async def done(self, *, only_plan: bool) -> JsonObject | None:
        async def work(place: Place) -> JsonObject | None:
            return await self._work(place, only_plan=only_plan)

        request = self._request
        return await recorded(
            self._home, request, work, self._cancelled, has_begun=request.is_planned
        )

    async def _work(self, place: Place, *, only_plan: bool) -> JsonObject | None:
        self._coordinator = coordinator = self._made(place)
        result = await (coordinator.prepare() if only_plan else coordinator.run())
        if result is None:
            return None
        request, is_success = self._request, result.is_success
        return await delivered(request, place.workspace, _to_json(result), is_success=is_success)

    def _cancelled(self) -> JsonObject:
        reached = self._coordinator.result if self._coordinator else None
        return _to_json(
            reached
            or SwarmResult(
                swarm_id=self._request.swarm_id,
                outcome="cancelled",
                error="the swarm was cancelled",
            )
        )

    def _made(self, place: Place) -> SwarmCoordinator:
        home, request = self._home, self._request
        here = replace(request, directory=place.directory)
        ask = audited_ask(self._ask, place.audit, request)

        async def ask_for(plan: Plan, cost: Estimate) -> bool:
            return await ask(Question(plan=plan, cost=cost).to_json())

        async def spent() -> tuple[Usage, float | None]:
            return await spent_by(request)

        return SwarmCoordinator(
            here.options(),
            home.runtime,
            place.workspace,
            home.voices.of_run(),
            home.clock,
            approve=PlanApproval(here, home.voices.of_run(), ask_for),
            price=request.price,
            spent=spent,
            elapsed_s=place.worked_s,
        )


def _to_json(result: SwarmResult) -> JsonObject:
    """The result, with what the command shall end with."""
    return {**result.to_json(), "exit_code": exit_code(result)}
