"""A swarm where its run lives: between the run's first and last record, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from codetether_ray import __version__
from codetether_ray.bootstrap.approval import PlanApproval, audited_ask
from codetether_ray.bootstrap.auditing.opening import open_audit
from codetether_ray.bootstrap.auditing.workspaces import audited_workspace
from codetether_ray.bootstrap.home import HomeTerms, RunHome
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import worked_s
from codetether_ray.bootstrap.swarm_request import SwarmRequest
from codetether_ray.bootstrap.trees.opening import (
    SwarmWorkspace,
    let_go,
    looking_at,
    open_swarm_workspace,
)
from codetether_ray.bootstrap.watching import traceparent
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject, decode, encode
from codetether_ray.core.errors import CodetetherError, WorkspaceError
from codetether_ray.core.events import RunFinished, RunStarted, Warned
from codetether_ray.core.usage import Spend, Usage
from codetether_ray.journal.listing import spending
from codetether_ray.ports.audit import Audit
from codetether_ray.ports.workspace import Workspace
from codetether_ray.swarm.coordinator import SwarmCoordinator
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan
from codetether_ray.swarm.result import SwarmResult, exit_code

_TITLE = 120


Ask = Callable[[JsonObject], Awaitable[bool]]
"""Puts a plan, as `Question.to_json` gives it, to whoever drives the run."""


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


def home_terms(request: SwarmRequest) -> HomeTerms:
    """What the swarm's home is opened with; a resumed one goes on with what is left to spend."""
    data_dir, spent = Path(request.data_dir), None
    if request.resumed:
        before = spending(data_dir, request.swarm_id, fetch=archived())
        spent = Spend(tokens=before.usage.total_tokens, usd=before.cost_usd or 0.0)
    return HomeTerms(
        correlation=request.correlation,
        data_dir=data_dir,
        budget=request.budget,
        max_live=request.parallel,
        max_memory_bytes=request.total_memory_bytes,
        pack=request.pack,
        pool=request.pool,
        principal=request.principal,
        spent=spent,
    )


async def swarm_in_home(home: RunHome, request: SwarmRequest, ask: Ask) -> JsonObject:
    """Run the swarm to its result, the object that `--json` prints.

    Cancelled, it ends the agents and returns a result of outcome `cancelled`.

    Raises:
        CodetetherError: there is nothing to work on (no such directory, git refuses, …).
    """
    result = await _recorded(home, request, ask, only_plan=False)
    assert result is not None
    return result


async def plan_in_home(home: RunHome, request: SwarmRequest, ask: Ask) -> JsonObject | None:
    """Begin the swarm, up to a plan that is agreed to; who resumes it carries that out.

    A result is the swarm's own: there is no plan, it was not agreed to, or it was cancelled.

    Raises:
        CodetetherError: there is nothing to work on.
    """
    return await _recorded(home, request, ask, only_plan=True)


async def _recorded(
    home: RunHome, request: SwarmRequest, ask: Ask, *, only_plan: bool
) -> JsonObject | None:
    voice = home.voices.of_run()
    if not request.is_planned:
        await voice.record(_started(request))
    home.begun()
    failpoints.hit("run.begun")
    try:
        result = await _done(home, request, ask, only_plan=only_plan)
    except CodetetherError as error:
        await voice.record(RunFinished(outcome="failed", summary={"error": str(error)}))
        raise
    if result is None:
        return None
    failpoints.hit("run.done")
    await voice.record(RunFinished(outcome=str(result["outcome"]), summary=result))
    return result


def _started(request: SwarmRequest) -> RunStarted:
    return RunStarted(
        kind="swarm",
        title=" ".join(request.task.split())[:_TITLE],
        directory=request.directory,
        model=request.model,
        command=request.to_json(),
        resumed=request.resumed,
        version=__version__,
        traceparent=traceparent(),
    )


async def _done(
    home: RunHome, request: SwarmRequest, ask: Ask, *, only_plan: bool
) -> JsonObject | None:
    audit = open_audit(Path(request.data_dir))
    try:
        return await _audited(home, request, ask, audit, only_plan=only_plan)
    finally:
        await audit.close()


async def _audited(
    home: RunHome, request: SwarmRequest, ask: Ask, audit: Audit, *, only_plan: bool
) -> JsonObject | None:
    coordinator: SwarmCoordinator | None = None
    trees: SwarmWorkspace | None = None
    try:
        trees = await open_swarm_workspace(request, home.journal, home.nodes)
        workspace = audited_workspace(trees, audit, request.correlation)
        worked = await asyncio.to_thread(worked_s, Path(request.data_dir), request.swarm_id)
        asked = audited_ask(ask, audit, request)
        async with looking_at(request, trees) as here:
            coordinator = _coordinator(home, here, workspace, asked, worked)
            result = await (coordinator.prepare() if only_plan else coordinator.run())
        if result is None:
            return None
        return await _delivered(request, workspace, result)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        reached = coordinator.result if coordinator else None
        cancelled = SwarmResult(
            swarm_id=request.swarm_id, outcome="cancelled", error="the swarm was cancelled"
        )
        return _to_json(reached or cancelled)
    finally:
        if trees is not None:
            for left in await let_go(trees):
                home.voices.of_run().emit(Warned(text=f"a tree stays on node {left}"))


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


def _coordinator(
    home: RunHome, request: SwarmRequest, workspace: Workspace, ask: Ask, worked_s: float
) -> SwarmCoordinator:
    async def ask_for(plan: Plan, cost: Estimate) -> bool:
        return await ask(Question(plan=plan, cost=cost).to_json())

    async def spent() -> tuple[Usage, float | None]:
        found = await asyncio.to_thread(spending, Path(request.data_dir), request.swarm_id)
        return found.usage, found.cost_usd

    return SwarmCoordinator(
        request.options(),
        home.runtime,
        workspace,
        home.voices.of_run(),
        home.clock,
        approve=PlanApproval(request, home.voices.of_run(), ask_for),
        price=request.price,
        spent=spent,
        elapsed_s=worked_s,
    )


async def _delivered(
    request: SwarmRequest, workspace: Workspace, result: SwarmResult
) -> JsonObject:
    """The result, with what was given to the user: a patch outside git, a merge if asked for."""
    out = _to_json(result)
    if not result.branch and result.diffstat:
        out["patch"] = str(await _patch(request, workspace))
    if request.deliver and result.is_success and not request.repository:
        try:
            out["delivered"] = await workspace.deliver()
            failpoints.hit("run.delivered")
        except WorkspaceError as error:
            words = f"not delivered: {error}"
            out.update(success=False, outcome="partial", error=words, exit_code=error.exit_code)
    return out


def _to_json(result: SwarmResult) -> JsonObject:
    """The result, with what the command shall end with."""
    return {**result.to_json(), "exit_code": exit_code(result)}


async def _patch(request: SwarmRequest, workspace: Workspace) -> Path:
    path = Path(request.data_dir) / "patches" / f"{request.swarm_id}.patch"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((await workspace.patch()).encode("utf-8", "surrogateescape"))
    return path
