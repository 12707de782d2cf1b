"""A run of several agents where it lives: between its first and last record, whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray import __version__
from codetether_ray.bootstrap.auditing.opening import open_audit
from codetether_ray.bootstrap.auditing.workspaces import audited_workspace
from codetether_ray.bootstrap.home import HomeTerms, RunHome
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import worked_s
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.trees.opening import (
    RunWorkspace,
    let_go,
    looking_at,
    open_run_workspace,
)
from codetether_ray.bootstrap.watching import traceparent
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, WorkspaceError
from codetether_ray.core.events import RunFinished, RunStarted, Warned
from codetether_ray.core.usage import Spend, Usage
from codetether_ray.journal.listing import spending
from codetether_ray.ports.audit import Audit
from codetether_ray.ports.workspace import Workspace

_TITLE = 120

Ask = Callable[[JsonObject], Awaitable[Any]]
"""Puts a question to whoever drives the run; what the answer is, the question's kind says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a coordinator works with, once its run is on record."""

    trees: RunWorkspace
    """The run's trees."""
    workspace: Workspace
    """The same, its merges and deliveries in the audit log before they are made."""
    audit: Audit
    directory: str
    """Where agents without a tree of their own may look: the user's directory, or a view of it."""
    worked_s: float
    """How long earlier tries worked."""


Work = Callable[[Place], Awaitable[JsonObject | None]]
"""Does the run to its result, the object that `--json` prints (`outcome` and `exit_code` are in
it); None: what was to be done for now is done, and the run goes on in another process."""
Cancelled = Callable[[], JsonObject]
"""The result of a run that was cancelled before, or while, `Work` made one."""


def home_terms(request: RunRequest, *, is_interactive: bool = False) -> HomeTerms:
    """What the run's home is opened with; a resumed one goes on with what is left to spend."""
    data_dir, spent = Path(request.data_dir), None
    if request.resumed:
        before = spending(data_dir, request.run_id, fetch=archived())
        spent = Spend(tokens=before.usage.total_tokens, usd=before.cost_usd or 0.0)
    return HomeTerms(
        correlation=request.correlation,
        data_dir=data_dir,
        budget=request.budget,
        max_live=request.parallel,
        max_memory_bytes=request.total_memory_bytes,
        is_interactive=is_interactive,
        pack=request.pack,
        pool=request.pool,
        principal=request.principal,
        spent=spent,
    )


async def recorded(
    home: RunHome,
    request: RunRequest,
    work: Work,
    cancelled: Cancelled,
    *,
    has_begun: bool = False,
) -> JsonObject | None:
    """Do `work` between the run's records; `has_begun`: the first one was written by its driver.

    Cancelled, it gives `cancelled`'s result.

    Raises:
        CodetetherError: there is nothing to work on (no such directory, git refuses, …).
    """
    voice = home.voices.of_run()
    if not has_begun:
        await voice.record(_started(request))
    home.begun()
    failpoints.hit("run.begun")
    try:
        result = await _done(home, request, work, cancelled)
    except CodetetherError as error:
        await voice.record(RunFinished(outcome="failed", summary={"error": str(error)}))
        raise
    if result is None:
        return None
    failpoints.hit("run.done")
    await voice.record(RunFinished(outcome=str(result["outcome"]), summary=result))
    return result


def _started(request: RunRequest) -> RunStarted:
    return RunStarted(
        kind=request.kind,
        title=" ".join(request.title.split())[:_TITLE],
        directory=request.directory,
        model=request.model,
        command=request.to_json(),
        resumed=request.resumed,
        version=__version__,
        traceparent=traceparent(),
    )


async def _done(
    home: RunHome, request: RunRequest, work: Work, cancelled: Cancelled
) -> JsonObject | None:
    audit = open_audit(Path(request.data_dir))
    try:
        async with _placed(home, request, audit) as place:
            return await work(place)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return cancelled()
    finally:
        await audit.close()


@asynccontextmanager
async def _placed(home: RunHome, request: RunRequest, audit: Audit) -> AsyncIterator[Place]:
    trees: RunWorkspace | None = None
    try:
        trees = await open_run_workspace(request, home.journal, home.nodes)
        worked = await asyncio.to_thread(worked_s, Path(request.data_dir), request.run_id)
        async with looking_at(request, trees) as directory:
            yield Place(
                trees=trees,
                workspace=audited_workspace(trees, audit, request.correlation, request.kind),
                audit=audit,
                directory=directory,
                worked_s=worked,
            )
    finally:
        if trees is not None:
            for left in await let_go(trees):
                home.voices.of_run().emit(Warned(text=f"a tree stays on node {left}"))


async def spent_by(request: RunRequest) -> tuple[Usage, float | None]:
    """What all model calls of the run came to, those of earlier tries and of cut turns included."""
    found = await asyncio.to_thread(spending, Path(request.data_dir), request.run_id)
    return found.usage, found.cost_usd


async def delivered(
    request: RunRequest, workspace: Workspace, result: JsonObject, *, is_success: bool
) -> JsonObject:
    """The result, with what was given to the user: a patch outside git, a merge if asked for."""
    out = dict(result)
    if not result.get("branch") and result.get("diffstat"):
        out["patch"] = str(await _patch(request, workspace))
    if request.deliver and is_success and not request.repository:
        try:
            out["delivered"] = await workspace.deliver()
            failpoints.hit("run.delivered")
        except WorkspaceError as error:
            words = f"not delivered: {error}"
            out.update(success=False, outcome="partial", error=words, exit_code=error.exit_code)
    return out


async def _patch(request: RunRequest, workspace: Workspace) -> Path:
    path = Path(request.data_dir) / "patches" / f"{request.run_id}.patch"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((await workspace.patch()).encode("utf-8", "surrogateescape"))
    return path
