"""What a task is told while a session's agent works on it: records of the run as A2A updates.

The answer is one artifact, `response`, that grows as it streams. What the model said before it
called tools, or before its call was made again, is replaced by what it says next.
"""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct, Value

from codetether_ray.a2a.agents import Order, Update
from codetether_ray.bootstrap.a2a.leaving import RESPONSE, fitting
from codetether_ray.bootstrap.a2a.workspaces import Yield
from codetether_ray.bootstrap.session.home import MAIN, SessionResult
from codetether_ray.core.events import (
    ModelResponded,
    Queued,
    Record,
    Retrying,
    TextStreamed,
    ToolStarted,
)
from codetether_ray.core.messages import ToolCall
from codetether_ray.core.spec import Outcome, TurnResult

_SHOWN = 120
_TELLING = ("command", "path", "pattern", "query", "description", "question", "task", "prd")
"""Arguments that say best what a call is about."""

_STATES: Mapping[Outcome, "TaskState"] = MappingProxyType(
    {
        "completed": TaskState.TASK_STATE_COMPLETED,
        "needs_decision": TaskState.TASK_STATE_INPUT_REQUIRED,
        "cancelled": TaskState.TASK_STATE_CANCELED,
    }
)
"""Any other outcome is a failure."""
_REASONS: Mapping[Outcome, str] = MappingProxyType(
    {
        "max_steps": "the limit of steps is reached",
        "budget": "the budget is spent",
        "stuck": "the agent went round in circles",
        "timeout": "the time is over",
        "waiting": "the model provider's quota is spent",
    }
)


class Telling:
    """The updates of one order, in order."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._step = -1
        self._said = ""  # of the step that streams, the piece that waits included
        self._held = ""  # the newest piece: it is the last one, or it is not
        self._sent = ""  # what the artifact holds
        self._streams = takes(order.output_modes, "text/plain")

    def begun(self) -> Iterator[Update]:
        """Before anything else."""
        yield self._status(TaskState.TASK_STATE_WORKING)

    def told(self, record: Record) -> Iterator[Update]:
        """What one record comes to."""
        if record.agent != MAIN:
            return
        match record.event:
            case TextStreamed(step=step, text=text):
                yield from self._piece(step, text)
            case ModelResponded(purpose="step", response=response):
                yield from self._responded(response.message.text, response.message.tool_calls)
            case ToolStarted(call=call):
                yield self._working(doing(call))
            case Retrying(reason=reason, next_in_s=seconds):
                self._void()
                yield self._working(f"the model is asked again in {seconds:.0f} s: {reason}")
            case Queued(reason=reason):
                yield self._working(f"waiting: {reason}")
            case _:
                pass

    def ended(self, result: SessionResult, left: Yield) -> Iterator[Update]:
        """What the turn leaves, and its last status."""
        turn = result.turn
        if turn.is_success:
            yield from self._answer(turn.text)
        elif self._held:
            yield from self._flush(is_last=True)
        notes = left.notes
        if turn.outcome != "cancelled":
            artifacts, notes = fitting(left, self._order.task, self._sent)
            yield from map(self._artifact, artifacts)
        state = _STATES.get(turn.outcome, TaskState.TASK_STATE_FAILED)
        yield self._status(state, _last_words(turn), _metadata(result, notes))

    # -- the response -----------------------------------------------------------------------------

    def _piece(self, step: int, text: str) -> Iterator[Update]:
        if not self._streams or not text:
            return
        if step != self._step:
            self._void()
            self._step = step
        yield from self._flush()
        self._said += text
        self._held = text

    def _responded(self, text: str, calls: tuple[ToolCall, ...]) -> Iterator[Update]:
        if calls:
            yield from self._flush()
            self._void()
            return
        if self._held and self._said == text:
            yield from self._flush(is_last=True)

    def _flush(self, *, is_last: bool = False) -> Iterator[Update]:
        if self._held:
            held, self._held = self._held, ""
            appends = bool(self._sent) and self._said.startswith(self._sent)
            self._sent = self._sent + held if appends else held
            yield self._response(held, appends=appends, is_last=is_last)

    def _void(self) -> None:
        self._said = self._held = self._sent = ""

    def _answer(self, text: str) -> Iterator[Update]:
        """The rest of it; the whole, where something else was said before."""
        if (self._sent + self._held).strip() != text.strip():
            self._void()
            self._held = self._said = text
        if self._held:
            yield from self._flush(is_last=True)

    def _response(self, text: str, *, appends: bool, is_last: bool) -> TaskArtifactUpdateEvent:
        part = Part(text=text, media_type="text/plain")
        if not self._streams and takes(self._order.output_modes, "application/json"):
            part = Part(data=ParseDict({"text": text}, Value()), media_type="application/json")
        artifact = Artifact(artifact_id=RESPONSE, name=RESPONSE, parts=[part])
        return self._artifact(artifact, appends=appends, is_last=is_last)

    # -- shapes -----------------------------------------------------------------------------------

    def _artifact(
        self, artifact: Artifact, *, appends: bool = False, is_last: bool = True
    ) -> TaskArtifactUpdateEvent:
        task = self._order.task
        return TaskArtifactUpdateEvent(
            task_id=task.id,
            context_id=task.context_id,
            artifact=artifact,
            append=appends,
            last_chunk=is_last,
        )

    def _working(self, text: str) -> TaskStatusUpdateEvent:
        return self._status(TaskState.TASK_STATE_WORKING, one_line(text))

    def _status(
        self, state: "TaskState", text: str = "", metadata: Struct | None = None
    ) -> TaskStatusUpdateEvent:
        task = self._order.task
        status = TaskStatus(state=state)
        if text:
            said = Message(
                message_id=uuid4().hex,
                task_id=task.id,
                context_id=task.context_id,
                role=Role.ROLE_AGENT,
                parts=[Part(text=text)],
            )
            status.message.CopyFrom(said)
        return TaskStatusUpdateEvent(
            task_id=task.id, context_id=task.context_id, status=status, metadata=metadata
        )


def takes(modes: tuple[str, ...], media_type: str) -> bool:
    """Whether a client that accepts `modes` takes a media type; none named: it takes any."""
    kind = media_type.partition("/")[0]
    return not modes or any(
        mode.partition(";")[0].strip().lower() in (media_type, f"{kind}/*", "*/*", kind)
        for mode in modes
    )


def doing(call: ToolCall) -> str:
    """`bash: pytest -q`: a call in few words."""
    try:
        given = json.loads(call.arguments)
    except ValueError:
        given = None
    named: Any = None
    if isinstance(given, dict):
        named = next((given[name] for name in _TELLING if given.get(name)), None)
    return one_line(f"{call.name}: {named}" if isinstance(named, str) else call.name)


def one_line(text: str) -> str:
    """The text on one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _last_words(turn: TurnResult) -> str:
    """With what the last status comes: a question, or why it is none that was hoped for."""
    if turn.is_success:
        return ""
    if turn.outcome == "needs_decision":
        return turn.text
    if turn.outcome == "cancelled":
        return "canceled"
    return turn.error or _REASONS.get(turn.outcome, f"the agent ended with {turn.outcome}")


def _metadata(result: SessionResult, notes: tuple[str, ...]) -> Struct:
    turn = result.turn
    told: dict[str, Any] = {
        "session_id": result.session_id,
        "outcome": turn.outcome,
        "usage": turn.usage.to_json(),
        "cost_usd": turn.cost_usd,
        "steps": turn.steps,
        "tool_calls": turn.tool_calls,
        "elapsed_s": turn.elapsed_s,
    }
    if turn.error_kind:
        told["error_kind"] = turn.error_kind
    if turn.resumes_at is not None:
        told["resumes_at"] = turn.resumes_at
    if notes:
        told["notes"] = list(notes)
    return ParseDict(told, Struct())
