"""A session's turn where its run lives: between the run's first and last record."""

import asyncio
import platform
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray import __version__
from codetether_ray.bootstrap.home import HomeTerms, RunHome
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.events import AgentStarted, RunFinished, RunStarted, TurnFinished
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget, Usage
from codetether_ray.tools.catalog import tools_for

MAIN = "main"
"""The path of a session's agent."""
_TITLE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """One turn of a session, complete: a value that travels. No secret and no handle is in it."""

    session_id: str
    message: Message
    directory: str
    data_dir: str
    model: str
    base_url: str = ""
    context_window: int | None = None
    max_steps: int = 50
    max_tool_calls: int = 500
    max_depth: int = 3
    memory_bytes: int = 200_000_000
    timeout_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    output_schema: str | None = None
    retry_for_s: float = 300.0
    wait_quota_s: float = 0.0
    resumed: bool = False

    @property
    def correlation(self) -> Correlation:
        """The ids of its events."""
        return Correlation(run_id=self.session_id, session_id=self.session_id)

    @property
    def terms(self) -> HomeTerms:
        """What its home is opened with."""
        return HomeTerms(
            correlation=self.correlation, data_dir=Path(self.data_dir), budget=self.budget
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """How the turn ended, and the session that can be continued."""

    session_id: str
    turn: TurnResult

    def to_json(self) -> JsonObject:
        """The object of `--format json`; `error` is there only if there was one."""
        out: JsonObject = {
            "text": self.turn.text,
            "session_id": self.session_id,
            "outcome": self.turn.outcome,
            "usage": usage_json(self.turn.usage),
            "cost_usd": self.turn.cost_usd,
        }
        if self.turn.error:
            out["error"] = self.turn.error
        return out


def usage_json(usage: Usage) -> JsonObject:
    """Tokens, every count spelled out."""
    counts: JsonObject = {name: getattr(usage, name) for name in Usage.__dataclass_fields__}
    return {**counts, "total_tokens": usage.total_tokens}


async def session_in_home(home: RunHome, request: SessionRequest) -> SessionResult:
    """Give the session's agent one turn; cancelled, it ends with outcome `cancelled`."""
    voice = home.voices.of_run()
    await voice.record(
        RunStarted(
            kind="session",
            title=" ".join(request.message.text.split())[:_TITLE],
            directory=request.directory,
            model=request.model,
            resumed=request.resumed,
            version=__version__,
        )
    )
    result = SessionResult(session_id=request.session_id, turn=await _turn(home, request))
    await voice.record(RunFinished(outcome=result.turn.outcome, summary=result.to_json()))
    return result


async def _turn(home: RunHome, request: SessionRequest) -> TurnResult:
    work = asyncio.create_task(_answered(home, await _spec(home, request), request.message))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if not await home.runtime.cancel(MAIN):
            work.cancel()
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return await work


async def _answered(home: RunHome, spec: AgentSpec, message: Message) -> TurnResult:
    """The turn's result; what stops it before or beside the agent is a result, too."""
    try:
        return await home.runtime.run(spec, message)
    except asyncio.CancelledError:
        return TurnResult(outcome="cancelled")
    except CodetetherError as error:
        return TurnResult(outcome="failed", error=str(error), error_kind=type(error).__name__)


async def _spec(home: RunHome, request: SessionRequest) -> AgentSpec:
    """The agent; of a continued session the one that its journal holds, on today's terms."""
    history = await home.journal.read(MAIN)
    first = next((r.event for r in history if isinstance(r.event, AgentStarted)), None)
    spec = AgentSpec(
        path=MAIN,
        kind="main",
        name=MAIN,
        model=request.model,
        root=request.directory,
        correlation=home.correlation,
        tools=tools_for("main"),
    )
    return replace(
        first.spec if first is not None else spec,
        model=request.model,
        base_url=request.base_url,
        context_window=request.context_window,
        situation=_situation(Path(request.directory)),
        max_steps=request.max_steps,
        max_tool_calls=request.max_tool_calls,
        max_depth=request.max_depth,
        memory_bytes=request.memory_bytes,
        timeout_s=request.timeout_s,
        output_schema=request.output_schema,
        retry_for_s=request.retry_for_s,
        wait_quota_s=request.wait_quota_s,
        finished_turns=sum(isinstance(r.event, TurnFinished) for r in history),
        data_dir=request.data_dir,
    )


def _situation(directory: Path) -> str:
    """What varies from turn to turn, and is sent last."""
    lines = [
        f"Date: {time.strftime('%Y-%m-%d')}",
        f"Platform: {platform.system()} {platform.machine()}",
        f"Working directory: {directory}",
    ]
    branch = _branch(directory)
    if branch:
        lines.append(f"Git branch: {branch}")
    return "\n".join(lines)


def _branch(directory: Path) -> str:
    """The branch that is checked out, read without git; empty where that does not tell."""
    for folder in (directory, *directory.parents):
        try:
            head = (folder / ".git" / "HEAD").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else head[:12]
    return ""
