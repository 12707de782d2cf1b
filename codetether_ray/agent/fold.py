"""An agent's conversation is the fold of its durable events, and of nothing else."""

import json
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from codetether_ray.agent import tokens
from codetether_ray.agent.conversation import Conversation, PendingCall, Round, Turn, changed
from codetether_ray.agent.notes import todos_after
from codetether_ray.agent.shortening import shortened
from codetether_ray.agent.situation import situation_of
from codetether_ray.core.errors import HistoryError
from codetether_ray.core.events import (
    AgentContinued,
    AgentStarted,
    Compacted,
    Event,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Nudged,
    ToolFinished,
    ToolStarted,
    TreeFound,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import Message, ToolCall, ToolResult, tool_results, user
from codetether_ray.ports.tool import Effect

__all__ = ["Conversation", "apply", "fold"]

_ROUNDS_KEPT = 6  # as many as the stuck detector looks back on
_CALIBRATION = (0.5, 4.0)  # beyond it a provider's count means something else


def fold(events: Iterable[Event]) -> Conversation:
    """The conversation that `events` tell.

    Raises:
        HistoryError: they contradict each other.
    """
    conversation = Conversation()
    for event in events:
        conversation = apply(conversation, event)
    return conversation


def apply(conversation: Conversation, event: Event) -> Conversation:
    """The conversation after one more event; events of no concern to it change nothing.

    Raises:
        HistoryError: the event cannot follow: a second result for a call, an answer while calls
            are open, a second start.
    """
    change = _CHANGES.get(type(event))
    return conversation if change is None else change(conversation, event)


def _agent_started(c: Conversation, event: AgentStarted) -> Conversation:
    if c.is_started:
        raise _unsound(c, "it starts twice")
    return changed(
        c,
        spec=event.spec,
        system=event.system,
        tools=event.tools,
        prefix_digest=event.prefix_digest,
        terms=event.terms,
        prefix_tokens=tokens.of_prefix(event.system, event.tools),
    )


def _agent_continued(c: Conversation, event: AgentContinued) -> Conversation:
    if not c.is_started:
        raise _unsound(c, "it goes on before it starts")
    return changed(c, spec=event.spec, terms=event.terms)


def _turn_started(c: Conversation, event: TurnStarted) -> Conversation:
    turn = c.turn
    if turn is not None and turn.is_open:
        raise _unsound(c, f"turn {event.turn} starts while turn {turn.number} is open")
    if turn is not None and turn.number == event.turn:  # it is taken up again
        again = changed(turn, result=None, nudges=(), rounds=(), busy_ms=0)
        return changed(c, turn=again, finished_turns=c.finished_turns - 1)
    c = _with_message(c, event.message)
    return changed(
        c,
        task=c.task or event.message,
        situation=situation_of(event.message) or c.situation,
        turn=Turn(number=event.turn, message=event.message),
    )


def _model_requested(c: Conversation, event: ModelRequested) -> Conversation:
    c = changed(c, step=event.step, attempts=event.attempt + 1)
    return changed(c, summarising=event.messages) if event.purpose == "compaction" else c


def _model_responded(c: Conversation, event: ModelResponded) -> Conversation:
    turn = _open_turn(c, f"answer {event.step}")
    if c.pending:
        raise _unsound(c, f"answer {event.step} comes while calls have no result")
    response = event.response
    c = changed(c, step=event.step + 1, attempts=0, usage=c.usage + response.usage)
    turn = changed(
        turn,
        usage=turn.usage + response.usage,
        cost_usd=_sum(turn.cost_usd, response.cost_usd),
        busy_ms=turn.busy_ms + event.elapsed_ms,
    )
    if event.purpose == "compaction":
        return changed(c, turn=turn, summary=response)
    message = response.message
    calls = message.tool_calls
    if len({call.id for call in calls}) != len(calls):
        raise _unsound(c, f"answer {event.step} gives two calls one id")
    c = changed(c, calibration=_calibration(c, response.usage.prompt_tokens))
    turn = changed(
        turn,
        steps=turn.steps + 1,
        text=message.text.strip() or turn.text,
        answer=None if calls else response,
        nudges=() if calls else turn.nudges,
        carried="" if calls else turn.carried,
    )
    if calls or message.text.strip():
        c = _with_message(c, message)
    is_cut = response.finish_reason == "length"
    pending = tuple(PendingCall(call=x, is_cut=is_cut and not _is_json(x)) for x in calls)
    return changed(c, turn=turn, round=calls, pending=pending)


def _model_failed(c: Conversation, event: ModelFailed) -> Conversation:
    turn = _open_turn(c, f"failure {event.step}")
    turn = changed(
        turn, usage=turn.usage + event.usage, cost_usd=_sum(turn.cost_usd, event.cost_usd)
    )
    return changed(c, turn=turn, usage=c.usage + event.usage)


def _nudged(c: Conversation, event: Nudged) -> Conversation:
    turn = _open_turn(c, "a nudge")
    said = turn.answer.message.text if turn.answer is not None else ""
    carried = turn.carried + said if event.reason == "length" else ""
    turn = changed(turn, nudges=(*turn.nudges, event.reason), answer=None, carried=carried)
    return changed(_with_message(c, user(event.text)), turn=turn)


def _tool_started(c: Conversation, event: ToolStarted) -> Conversation:
    turn = _open_turn(c, f"call {event.call.id}")
    known = _pending(c, event.call.id)
    started = PendingCall(call=known.call, effect=event.effect)
    if not known.is_started:
        turn = changed(turn, tool_calls=turn.tool_calls + 1)
    pending = tuple(started if p is known else p for p in c.pending)
    return changed(c, turn=turn, pending=pending, snapshot=event.snapshot or c.snapshot)


def _tool_finished(c: Conversation, event: ToolFinished) -> Conversation:
    turn = _open_turn(c, f"result {event.result.call_id}")
    known = _pending(c, event.result.call_id)
    if known.effect != Effect.SPAWN:  # waiting for children takes none of the turn's time
        turn = changed(turn, busy_ms=turn.busy_ms + event.elapsed_ms)
    c = changed(
        c,
        turn=turn,
        pending=tuple(p for p in c.pending if p is not known),
        results=(*c.results, event.result),
        todos=todos_after(c.todos, known.call, event.result),
        snapshot="" if event.is_unkept else event.snapshot or c.snapshot,
    )
    if c.pending:
        return c
    results = _in_order(c.round, c.results)
    finished = Round(calls=c.round, results=results)
    turn = changed(turn, rounds=(*turn.rounds, finished)[-_ROUNDS_KEPT:])
    return changed(
        _with_message(c, tool_results(*results)), turn=turn, round=(), pending=(), results=()
    )


def _tree_found(c: Conversation, event: TreeFound) -> Conversation:
    _open_turn(c, "another tree")
    if c.pending:
        raise _unsound(c, "another tree is found while calls have no result")
    return changed(_with_message(c, user(event.text)), snapshot=event.snapshot)


def _compacted(c: Conversation, event: Compacted) -> Conversation:
    if c.pending:
        raise _unsound(c, "it is shortened while calls have no result")
    return shortened(c, event)


def _turn_finished(c: Conversation, event: TurnFinished) -> Conversation:
    turn = _open_turn(c, "the end of a turn")
    if c.pending:
        raise _unsound(c, f"turn {turn.number} ends while calls have no result")
    return changed(c, turn=changed(turn, result=event.result), finished_turns=c.finished_turns + 1)


_CHANGES: Mapping[type, Callable[[Conversation, Any], Conversation]] = MappingProxyType(
    {
        AgentStarted: _agent_started,
        AgentContinued: _agent_continued,
        TurnStarted: _turn_started,
        ModelRequested: _model_requested,
        ModelResponded: _model_responded,
        ModelFailed: _model_failed,
        Nudged: _nudged,
        ToolStarted: _tool_started,
        ToolFinished: _tool_finished,
        TreeFound: _tree_found,
        Compacted: _compacted,
        TurnFinished: _turn_finished,
    }
)


def _with_message(c: Conversation, message: Message) -> Conversation:
    return changed(
        c,
        messages=(*c.messages, message),
        message_tokens=c.message_tokens + tokens.of_message(message),
    )


def _open_turn(c: Conversation, what: str) -> Turn:
    if c.turn is None or not c.turn.is_open:
        raise _unsound(c, f"{what} comes outside a turn")
    return c.turn


def _pending(c: Conversation, call_id: str) -> PendingCall:
    for pending in c.pending:
        if pending.call.id == call_id:
            return pending
    if any(r.call_id == call_id for m in c.messages for r in m.tool_results) or any(
        r.call_id == call_id for r in c.results
    ):
        raise _unsound(c, f"call {call_id} gets a second result")
    raise _unsound(c, f"nobody made call {call_id}")


def _in_order(
    calls: tuple[ToolCall, ...], results: tuple[ToolResult, ...]
) -> tuple[ToolResult, ...]:
    by_id = {result.call_id: result for result in results}
    return tuple(by_id[call.id] for call in calls)


def _is_json(call: ToolCall) -> bool:
    try:
        json.loads(call.arguments)
    except ValueError:
        return False
    return True


def _calibration(c: Conversation, real: int) -> float:
    estimate = c.prefix_tokens + c.message_tokens
    if real <= 0 or estimate <= 0:
        return c.calibration
    low, high = _CALIBRATION
    return min(max(real / estimate, low), high)


def _sum(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more


def _unsound(c: Conversation, detail: str) -> HistoryError:
    return HistoryError("?" if c.spec is None else c.spec.path, detail)
