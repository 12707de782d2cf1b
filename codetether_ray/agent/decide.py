"""What an agent does next: a function of its conversation and its limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from codetether_ray.agent import compaction
from codetether_ray.agent.answers import NudgeReason, judge
from codetether_ray.agent.compaction import Clear, Summarise
from codetether_ray.agent.conversation import Conversation, PendingCall, Turn
from codetether_ray.agent.stuck import is_stuck
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.core.spec import Outcome
from codetether_ray.ports.tool import Effect

DECIDER = 1
"""Version of the rules below, recorded by every agent. Raise it with every change of a decision:
a replay then tells a newer rule from a tampered journal."""

_AT_ONCE = frozenset({Effect.READ, Effect.SPAWN})
"""Reads change nothing; children work side by side, as the `task` tool tells the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallModel:
    """Ask the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTools:
    """Run the groups one after another, the calls of a group at once."""

    groups: tuple[tuple[PendingCall, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Give calls that will not be run their one result."""

    results: tuple[ToolFinished, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """Ask for the rest of an unfinished answer."""

    reason: NudgeReason
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End the turn. `text` None: the last text that the model said."""

    outcome: Outcome
    text: str | None = None
    error: str = ""
    error_kind: str = ""
    resumes_at: float | None = None


Decision = CallModel | RunTools | Settle | Nudge | Clear | Summarise | Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a decision depends on beside the conversation.

    `room` is the longest prompt in tokens. `stop` is set once the turn must end; then nothing is
    begun any more. `is_overflowing`: the provider refused the last prompt as too long.
    """

    max_steps: int
    max_tool_calls: int
    room: int
    effects: Mapping[str, Effect] = field(default_factory=dict)
    schema: JsonObject | None = None
    stop: Finish | None = None
    is_overflowing: bool = False


def decide(conversation: Conversation, limits: Limits) -> Decision:
    """What comes next in the open turn of `conversation`."""
    turn = conversation.turn
    assert turn is not None, "decide is asked inside a turn"
    if limits.stop is not None:
        return _stop(conversation, limits.stop)
    if conversation.pending:
        return _tools(conversation, turn, limits)
    if turn.answer is not None:
        return _answered(turn, limits)
    return _ended(turn, limits) or _ask(conversation, limits)


def _stop(conversation: Conversation, stop: Finish) -> Decision:
    if not conversation.pending:
        return stop
    why = _WHY.get(stop.outcome, f"the turn ended ({stop.outcome})")
    if stop.outcome == "cancelled" and stop.error != "cancelled":
        why = stop.error  # nobody cancelled it: its process died
    return Settle(results=tuple(unfinished(p, why, conversation) for p in conversation.pending))


DIED = "the agent's process died while it ran"
"""Why a call has no result that was at work when its agent was lost."""

_CUT = (
    "your answer was cut off at the output limit before this call was complete; make it again, "
    "with less in it"
)
_WHY: Mapping[Outcome, str] = {
    "cancelled": "the turn was cancelled",
    "timeout": "the time of the turn was over",
    "budget": "the run's budget was spent",
}


def _tools(conversation: Conversation, turn: Turn, limits: Limits) -> Decision:
    lost = [p for p in conversation.pending if p.effect == Effect.SHELL]
    if lost:
        return Settle(results=tuple(unfinished(p, DIED, conversation) for p in lost))
    cut = [p for p in conversation.pending if p.is_cut]
    if cut:
        return Settle(results=tuple(unfinished(p, _CUT, conversation) for p in cut))
    left = limits.max_tool_calls - turn.tool_calls
    allowed = list(_allowed(conversation.pending, left))
    if not allowed:
        why = f"the limit of {limits.max_tool_calls} tool calls is reached"
        return Settle(results=tuple(unfinished(p, why, conversation) for p in conversation.pending))
    return RunTools(groups=tuple(_groups(allowed, limits.effects)))


def _allowed(pending: Sequence[PendingCall], left: int) -> Iterator[PendingCall]:
    """Those that may run: a started one was counted before, `left` new ones are free."""
    for call in pending:
        if not call.is_started:
            left -= 1
        if call.is_started or left >= 0:
            yield call


def _groups(
    pending: Sequence[PendingCall], effects: Mapping[str, Effect]
) -> Iterator[tuple[PendingCall, ...]]:
    """Neighbours that may run at once together, all others alone; an unknown tool only reads."""
    for effect, calls in groupby(pending, lambda p: effects.get(p.call.name, Effect.READ)):
        if effect in _AT_ONCE:
            yield tuple(calls)
        else:
            yield from ((call,) for call in calls)


def unfinished(pending: PendingCall, why: str, conversation: Conversation) -> ToolFinished:
    """The result of a call that has none: whether it had an effect is said, not guessed.

    What was found in the tree may be added to the words of one that had started.
    """
    step = conversation.step - 1
    if not pending.is_started:
        return not_run(pending, why, step)
    text = f"interrupted: {why}; it may have had part of its effect, so check before repeating"
    return replace(_result(pending, text, step), interrupted=True)


def not_run(pending: PendingCall, why: str, step: int) -> ToolFinished:
    """The result of a call that certainly had no effect."""
    return _result(pending, f"not run: {why}", step)


def _result(pending: PendingCall, text: str, step: int) -> ToolFinished:
    call = pending.call
    result = ToolResult(call_id=call.id, name=call.name, content=text, is_error=True)
    return ToolFinished(step=step, result=result)


def _answered(turn: Turn, limits: Limits) -> Decision:
    assert turn.answer is not None
    verdict = judge(turn.answer, turn.carried, limits.schema)
    if verdict.reason is None:
        return Finish(outcome="completed", text=verdict.text)
    if verdict.may_be_asked_again(turn):
        return Nudge(reason=verdict.reason, text=verdict.request)
    kind = "InvalidAnswerError" if verdict.reason == "schema" else "UnfinishedAnswerError"
    return Finish(outcome="failed", text=verdict.text, error=verdict.failure, error_kind=kind)


ASK_USER = "ask_user"
"""The tool whose result is a question that ends the turn."""


def question_of(turn: Turn) -> str:
    """What the agent asks the user by its last calls; empty: nothing. A refused call asks not."""
    if not turn.rounds:
        return ""
    asked = (r for r in turn.rounds[-1].results if r.name == ASK_USER and not r.is_error)
    return "\n\n".join(result.content for result in asked)


def _ended(turn: Turn, limits: Limits) -> Finish | None:
    question = question_of(turn)
    if question:
        return Finish(outcome="needs_decision", text=question)
    if is_stuck(turn.rounds):
        names = ", ".join(dict.fromkeys(call.name for call in turn.rounds[-1].calls))
        error = f"the same call with the same result, three times in a row: {names}"
        return Finish(outcome="stuck", error=error)
    if turn.steps >= limits.max_steps:
        return Finish(
            outcome="max_steps", error=f"the limit of {limits.max_steps} steps is reached"
        )
    if turn.tool_calls >= limits.max_tool_calls:
        error = f"the limit of {limits.max_tool_calls} tool calls is reached"
        return Finish(outcome="max_steps", error=error)
    return None


def _ask(conversation: Conversation, limits: Limits) -> Decision:
    if conversation.summary is not None:  # paid for before a crash, and only to be applied
        return Summarise(keep_from=conversation.summarising)
    shorter = compaction.plan(conversation, limits.room, is_overflowing=limits.is_overflowing)
    return shorter or CallModel()
