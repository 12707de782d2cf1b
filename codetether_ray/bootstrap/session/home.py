"""A session's turn where its run lives: between the run's first and last record."""

import asyncio
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray import __version__
from codetether_ray.bootstrap.home import RUN_AGENT, HomeTerms, RunHome
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import is_over, resume_command
from codetether_ray.bootstrap.watching import traceparent
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.errors import CodetetherError, JournalError
from codetether_ray.core.events import (
    AgentContinued,
    AgentStarted,
    Record,
    RunFinished,
    RunStarted,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentKind, AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.journal.listing import spending
from codetether_ray.journal.reader import read_records
from codetether_ray.tools.catalog import tools_for

MAIN = "main"
"""The path of a session's agent."""
_TITLE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """One turn of a session, complete: it is journaled, and travels. No secret is in it."""

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
    """The session was there before."""
    principal: str = ""
    """Who asked; see `AgentSpec.principal`."""
    node: str = ""
    """The node that has the directory, where the supervisor's has not."""
    goes_on: bool = False
    """The last turn is taken up again where it stopped; `message` is the recorded one."""
    agent: AgentKind = "main"
    """What kind of agent a new session has."""
    tools: tuple[str, ...] = ()
    """What the agent may use, for whom it works; empty: all of its kind's."""
    instructions: str = ""
    """A new session's: more for the system prompt, of where its words come from and go to."""
    order: str = ""
    """The name that this turn has with whoever asks: asked again, it is found again."""

    @property
    def correlation(self) -> Correlation:
        """The ids of its events."""
        return Correlation(run_id=self.session_id, session_id=self.session_id)

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return encode_object(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> "SessionRequest":
        """Read `to_json`'s form.

        Raises:
            ValueError: a member is missing.
        """
        return decode(cls, data)


def session_terms(request: SessionRequest) -> HomeTerms:
    """What the session's home is opened with; a turn that goes on has what it left to spend."""
    data_dir, spent = Path(request.data_dir), None
    if request.goes_on:
        run = request.session_id
        began = _turn_began(read_records(data_dir, run, kinds={RunStarted.tag}, fetch=archived()))
        before = spending(data_dir, run, after=began, fetch=archived())
        spent = Spend(tokens=before.usage.total_tokens, usd=before.cost_usd or 0.0)
    return HomeTerms(
        correlation=request.correlation,
        data_dir=data_dir,
        budget=request.budget,
        principal=request.principal,
        is_interactive=True,
        spent=spent,
    )


def _turn_began(records: Iterable[Record]) -> int:
    """The `seq` of the record with which the last turn was asked for; -1 if there is none."""
    began = -1
    for record in records:
        event = record.event
        if isinstance(event, RunStarted) and not event.command.get("goes_on"):
            began = record.seq
    return began


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """How the turn ended, and the session that can be continued."""

    session_id: str
    turn: TurnResult

    def to_json(self) -> JsonObject:
        """The object of `--format json`.

        `error` is there only if there was one, `resume` only where something is left to do.
        """
        out: JsonObject = {
            "text": self.turn.text,
            "session_id": self.session_id,
            "outcome": self.turn.outcome,
            "usage": self.turn.usage.to_json(),
            "cost_usd": self.turn.cost_usd,
        }
        if self.turn.error:
            out["error"] = self.turn.error
        if self.resume:
            out["resume"] = self.resume
        return out

    @property
    def resume(self) -> str:
        """The command that takes the turn up again; empty where nothing is left to do."""
        turn = self.turn
        if is_over("session", turn.outcome):
            return ""
        more = ("--max-steps", str(2 * turn.steps)) if turn.outcome == "max_steps" else ()
        return resume_command("session", self.session_id, *more)


async def session_in_home(home: RunHome, request: SessionRequest) -> SessionResult:
    """Give the session's agent one turn; cancelled, it ends with outcome `cancelled`."""
    voice = home.voices.of_run()
    await voice.record(
        RunStarted(
            kind="session",
            title=" ".join(request.message.text.split())[:_TITLE],
            directory=request.directory,
            model=request.model,
            command=request.to_json(),
            resumed=request.resumed,
            version=__version__,
            traceparent=traceparent(),
        )
    )
    home.begun()
    failpoints.hit("run.begun")
    result = SessionResult(session_id=request.session_id, turn=await _turn(home, request))
    failpoints.hit("run.done")
    try:
        await voice.record(RunFinished(outcome=result.turn.outcome, summary=result.to_json()))
    except JournalError:
        if result.turn.is_success:  # nobody could tell later that it was
            raise
    return result


async def _turn(home: RunHome, request: SessionRequest) -> TurnResult:
    work = asyncio.create_task(_answered(home, request))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if not await home.runtime.cancel(MAIN):
            work.cancel()
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return await work


async def _answered(home: RunHome, request: SessionRequest) -> TurnResult:
    """The turn's result; what stops it before or beside the agent is a result, too."""
    try:
        return await home.runtime.run(await _spec(home, request), request.message)
    except asyncio.CancelledError:
        return TurnResult(outcome="cancelled")
    except CodetetherError as error:
        return TurnResult(outcome="failed", error=str(error), error_kind=type(error).__name__)


async def _spec(home: RunHome, request: SessionRequest) -> AgentSpec:
    """The agent; of a session that was there the one that its journal holds, on today's terms.

    A turn that goes on keeps its situation: what the model was told of date and branch.
    """
    history = await home.journal.read(MAIN)
    recorded = [r.event.spec for r in history if isinstance(r.event, AgentStarted | AgentContinued)]
    began = _turn_began(await home.journal.read(RUN_AGENT))
    is_told = any(isinstance(r.event, TurnStarted) and r.seq > began for r in history)
    keeps = request.goes_on and is_told and bool(recorded)
    return replace(
        recorded[0] if recorded else _new_spec(home, request),
        model=request.model,
        base_url=request.base_url,
        context_window=request.context_window,
        situation=recorded[-1].situation if keeps else _situation(Path(request.directory)),
        max_steps=request.max_steps,
        max_tool_calls=request.max_tool_calls,
        max_depth=request.max_depth,
        memory_bytes=request.memory_bytes,
        timeout_s=request.timeout_s,
        output_schema=request.output_schema,
        retry_for_s=request.retry_for_s,
        wait_quota_s=request.wait_quota_s,
        finished_turns=_finished_turns(history, began),
        data_dir=request.data_dir,
        principal=request.principal,
        node=request.node,
        tools=request.tools or (recorded[0].tools if recorded else tools_for(request.agent)),
    )


def _new_spec(home: RunHome, request: SessionRequest) -> AgentSpec:
    return AgentSpec(
        path=MAIN,
        kind=request.agent,
        name=MAIN,
        model=request.model,
        root=request.directory,
        correlation=home.correlation,
        instructions=request.instructions,
    )


def _finished_turns(history: Sequence[Record], began: int) -> int:
    """How many turns had finished when the last one was asked for; one taken up counts once."""
    return len(
        {r.event.turn for r in history if isinstance(r.event, TurnFinished) and r.seq < began}
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
