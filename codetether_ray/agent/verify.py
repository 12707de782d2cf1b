"""Decides again what an agent decided, from its records alone, and finds the first departure.

What came from outside enters as it was recorded: answers of models, results of tools, messages,
cancellations, deadlines, budgets, quotas, deaths. All else is recomputed: the prompt's digests,
which tools run and in which groups, nudges, compactions, what calls without a result are told,
how the turn ended and what it came to.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from codetether_ray.agent import compaction
from codetether_ray.agent.compaction import Clear, Summarise
from codetether_ray.agent.conversation import Conversation, PendingCall, Turn
from codetether_ray.agent.decide import (
    DECIDER,
    CallModel,
    Decision,
    Finish,
    Limits,
    Nudge,
    RunTools,
    Settle,
    decide,
)
from codetether_ray.agent.digests import MessageChain, part_digests, prefix_digest
from codetether_ray.agent.fold import apply
from codetether_ray.core.departure import Cause, Departure
from codetether_ray.core.errors import HistoryError
from codetether_ray.core.events import (
    AgentContinued,
    AgentRestarted,
    AgentStarted,
    Compacted,
    Event,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Nudged,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import user
from codetether_ray.core.spec import Outcome
from codetether_ray.ports.tool import Effect

_FROM_OUTSIDE: frozenset[Outcome] = frozenset(
    {"cancelled", "timeout", "budget", "waiting", "failed", "needs_decision"}
)
"""Ends that something outside of the rules may bring about."""

_AT_ANY_TIME: frozenset[Outcome] = frozenset({"cancelled", "timeout"})
_SHOWN = 200  # characters of a value in a departure


@dataclass(frozen=True, slots=True)
class _Odd:
    """What is wrong with an event."""

    what: str
    recorded: object = ""
    expected: object = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class _Settling:
    """Calls that were settled because the turn was to end; its end will say why."""

    before: Conversation
    results: tuple[ToolFinished, ...]


class AgentCheck:
    """Follows one agent through its records; after the first departure it is of no more use."""

    def __init__(self) -> None:
        self._c = Conversation()
        self._chain = MessageChain("")
        self._sent = 0  # messages of the last request whose digest was right
        self._request: ModelRequested | None = None
        """The model call that has neither answer nor failure."""
        self._is_cut_off = False
        """Its process died, so nobody knows what became of it."""
        self._groups: tuple[tuple[str, ...], ...] = ()
        """Ids of the calls that run, and of those that run after them."""
        self._settled: tuple[ToolFinished, ...] = ()
        """What a decision to settle has still to record."""
        self._settling: _Settling | None = None
        self._may_be_new = False
        """A new process may have decided anew since the last answer."""
        self.decisions = 0
        """How many events were compared with what is decided here."""
        self.is_blind = False
        """It was recorded before decisions were: only digests and the order can be checked."""

    @property
    def is_idle(self) -> bool:
        """Whether no turn is open."""
        return self._c.turn is None or not self._c.turn.is_open

    def take(self, event: Event, *, is_reborn: bool = False) -> Departure | None:
        """The departure that an event is, without its place in the run; None if it is none.

        `is_reborn`: the run's writer was another one at the event before.
        """
        if is_reborn or isinstance(event, (AgentRestarted, AgentContinued)):
            self._may_be_new = True
        step = getattr(event, "step", None)
        try:
            odd = self._check(event)
            if odd is None:
                self._c = apply(self._c, event)
                return None
        except HistoryError as error:
            return Departure(level="protocol", what=error.detail, step=step)
        return Departure(
            level="decisions",
            what=odd.what,
            cause=self._cause(),
            step=step,
            part=odd.part,
            recorded=_shown(odd.recorded),
            expected=_shown(odd.expected),
        )

    def _check(self, event: Event) -> _Odd | None:
        """What is odd for the process that decided before, and for one that decides anew."""
        check = _CHECKS.get(type(event))
        if check is None:
            return None
        if not (self._c.is_started or isinstance(event, AgentStarted)):
            raise HistoryError("?", "something happens before the agent begins")
        before = self._request, self._groups, self._settled, self._settling, self._sent
        odd = self._is_left_unsettled(event) or check(self, event)
        if odd is None or not self._may_be_new:
            return odd
        self._request, _, _, _, self._sent = before
        self._forget()
        return check(self, event)

    def _is_left_unsettled(self, event: Event) -> _Odd | None:
        """Calls were told that the turn ends, and then it goes on."""
        if self._settling is None or isinstance(event, (ToolFinished, TurnFinished)):
            return None
        told = self._settling.results[0].result
        return _Odd("a call is not run", told.content, "a result", f"call {told.call_id}")

    def _forget(self) -> None:
        """A process that begins anew knows only what is recorded."""
        self._groups, self._settled, self._settling = (), (), None
        self._is_cut_off = True

    def _cause(self) -> Cause:
        terms = self._c.terms
        return "tampered" if terms is None or terms.decider == DECIDER else "newer code"

    # -- what the rules say -----------------------------------------------------------------------

    def _decide(self, *, stop: Finish | None = None, is_overflowing: bool = False) -> Decision:
        self.decisions += 1
        limits = replace(self._limits(), stop=stop, is_overflowing=is_overflowing)
        return decide(self._c, limits)

    def _limits(self) -> Limits:
        spec, terms = self._c.spec, self._c.terms
        assert spec is not None
        assert terms is not None
        return Limits(
            max_steps=spec.max_steps,
            max_tool_calls=spec.max_tool_calls,
            room=terms.room,
            effects={name: Effect(effect) for name, effect in terms.effects.items()},
            schema=json.loads(spec.output_schema) if spec.output_schema else None,
        )

    def _turn(self, what: str) -> Turn:
        turn = self._c.turn
        if turn is None or not turn.is_open:
            path = self._c.spec.path if self._c.spec else "?"
            raise HistoryError(path, f"{what} comes outside a turn")
        return turn

    # -- the agent and its turns ------------------------------------------------------------------

    def _agent_started(self, event: AgentStarted) -> _Odd | None:
        self.is_blind = event.terms is None
        digest = prefix_digest(event.system, event.tools)
        if event.prefix_digest != digest:
            part = _first_other_part(event)
            return _Odd("the prompt's prefix is not the one it began with", part=part)
        self._chain = MessageChain(event.prefix_digest)
        return None

    def _agent_continued(self, event: AgentContinued) -> _Odd | None:
        self.is_blind = False
        return None

    def _turn_started(self, event: TurnStarted) -> _Odd | None:
        self._forget()
        self._request = None
        turn = self._c.turn
        number = 0 if turn is None else turn.number + 1
        if event.turn == number:
            return None
        if turn is None or event.turn != turn.number:
            return _Odd("a turn has a wrong number", event.turn, number)
        if event.message != turn.message:
            return _Odd("a turn is taken up again with another message", part="message 0")
        return None

    def _turn_finished(self, event: TurnFinished) -> _Odd | None:
        turn = self._turn("the end of a turn")
        result = event.result
        stopped = None if self._may_be_new else self._check_settling(event)
        self._forget()
        self._request, self._may_be_new = None, False
        if event.turn != turn.number:
            return _Odd("another turn ends than the open one", event.turn, turn.number)
        if stopped is not None:
            return stopped
        said = turn.text
        if not self.is_blind and not self._c.pending:
            decision = self._decide()
            if isinstance(decision, Finish) and _is_end(decision, result.outcome, result.error):
                said = turn.text if decision.text is None else decision.text
                if result.error_kind != decision.error_kind:
                    return _Odd("a turn ends otherwise", result.error_kind, decision.error_kind)
            elif odd := _wrong_end(decision, event):
                return odd
        for name, recorded, expected in (
            ("answer", result.text, said),
            ("usage", result.usage, turn.usage),
            ("cost", result.cost_usd, turn.cost_usd),
            ("steps", result.steps, turn.steps),
            ("tool calls", result.tool_calls, turn.tool_calls),
        ):
            if recorded != expected and not (name == "answer" and self.is_blind):
                return _Odd(
                    "a turn's result is not what its records come to", recorded, expected, name
                )
        return None

    # -- model calls ------------------------------------------------------------------------------

    def _model_requested(self, event: ModelRequested) -> _Odd | None:
        self._turn(f"model call {event.step}")
        c, spec = self._c, self._c.spec
        assert spec is not None
        for name, recorded, expected in (
            ("step", event.step, c.step),
            ("attempt", event.attempt, c.attempts),
            ("model", event.model, spec.model),
        ):
            if recorded != expected:
                return _Odd(f"a model call has another {name}", recorded, expected)
        odd = None if self.is_blind else self._may_ask(event)
        odd = odd or self._is_prompt(event)
        self._request, self._is_cut_off = event, False
        return odd

    def _may_ask(self, event: ModelRequested) -> _Odd | None:
        """Whether a call is due. One without an end was too long for the provider, or cut off."""
        was_too_long = self._request is not None and not self._is_cut_off
        if was_too_long and event.purpose == "step":
            return _Odd("the model is asked again while a call has no end", f"step {event.step}")
        decision = self._decide(is_overflowing=was_too_long)
        if event.purpose == "step" and isinstance(decision, CallModel):
            return None
        if event.purpose == "compaction" and decision == Summarise(keep_from=event.messages):
            if self._c.summary is None:
                return None
            return _Odd("a summary that was there is asked for again")
        what = "a model call" if event.purpose == "step" else f"a summary of {event.messages}"
        return _Odd("the model is asked where something else is due", what, _name(decision))

    def _is_prompt(self, event: ModelRequested) -> _Odd | None:
        c = self._c
        if event.purpose == "compaction":
            if c.terms is None:
                return None
            text = compaction.summary_request(c, event.messages, c.terms.room)
            if event.digest != MessageChain("").digest((user(text),)):
                return _Odd("the summariser was asked something else", part="message 0")
            return None
        if event.messages != len(c.messages):
            return _Odd("the model was sent other messages", event.messages, len(c.messages))
        digest = self._chain.digest(c.messages)
        if event.digest != digest:
            part = self._first_other(event)
            return _Odd("the model was sent another prompt", event.digest, digest, part)
        self._sent = event.messages
        return None

    def _first_other(self, event: ModelRequested) -> str:
        """Which message is another; without digests of its own, which can be."""
        mine = self._chain.parts()
        if mine and len(event.parts) == len(mine):
            start = event.messages - len(mine)
            for number, (one, other) in enumerate(zip(mine, event.parts, strict=True), start):
                if one != other:
                    return f"message {number}, of the {self._c.messages[number].role}"
        last = event.messages - 1
        first = min(self._sent, last)
        return f"message {last}" if first == last else f"message {first} to {last}"

    def _model_responded(self, event: ModelResponded) -> _Odd | None:
        asked, self._request = self._request, None
        self._turn(f"answer {event.step}")
        self._may_be_new = False
        if asked is None or asked.step != event.step or asked.purpose != event.purpose:
            return _Odd("a model answers what it was not asked", f"answer {event.step}")
        self._groups = ()
        used = {call.id for m in self._c.messages for call in m.tool_calls}
        again = [x.id for x in event.response.message.tool_calls if x.id in used]
        if again and event.purpose == "step":
            return _Odd("a call has the id of an earlier one", again[0])
        return None

    def _model_failed(self, event: ModelFailed) -> _Odd | None:
        asked, self._request = self._request, None
        if asked is None or asked.step != event.step:
            return _Odd("a model call fails that was not made", f"failure {event.step}")
        return None

    def _nudged(self, event: Nudged) -> _Odd | None:
        self._turn("a nudge")
        if self.is_blind:
            return None
        decision = self._decide()
        if decision != Nudge(reason=event.reason, text=event.text):
            return _Odd("the model is told to go on", event.text, _name(decision))
        return None

    def _compacted(self, event: Compacted) -> _Odd | None:
        asked, self._request = self._request, None
        self._turn("a compaction")
        if event.step != self._c.step:
            return _Odd("a compaction has another step", event.step, self._c.step)
        if self.is_blind:
            return None
        if event.stage == "results":
            decision = self._decide()
            if decision != Clear(call_ids=event.call_ids):
                return _Odd("other results are removed", event.call_ids, _name(decision))
            return None
        return self._summed_up(event, asked)

    def _summed_up(self, event: Compacted, asked: ModelRequested | None) -> _Odd | None:
        c = self._c
        if c.summary is not None:
            keep_from, text = c.summarising, c.summary.message.text.strip()
        elif asked is not None and asked.purpose == "compaction":
            keep_from, text = asked.messages, ""
        else:
            return _Odd("the conversation is shortened where nobody was asked for a summary")
        if event.keep_from != keep_from:
            return _Odd("another part is summed up", event.keep_from, keep_from)
        expected = text or compaction.bare_summary(c, keep_from)
        if event.summary != expected:
            return _Odd("the summary is not the one that was written", event.summary, expected)
        return None

    # -- tools ------------------------------------------------------------------------------------

    def _tool_started(self, event: ToolStarted) -> _Odd | None:
        self._turn(f"call {event.call.id}")
        pending = self._pending(event.call.id)
        if pending is None:
            return None  # the fold names it
        if pending.call != event.call:
            return _Odd("another call runs than the model made", event.call, pending.call)
        if self.is_blind:
            return None
        if event.step != self._c.step - 1:
            return _Odd("a call has another step", event.step, self._c.step - 1)
        if odd := self._is_due(event.call.id):
            return odd
        effect = str(self._limits().effects.get(event.call.name, Effect.READ))
        if event.effect != effect:
            return _Odd("a call has another effect", event.effect, effect)
        if pending.is_started:
            return _Odd("a call starts twice", event.call.id)
        return None

    def _tool_finished(self, event: ToolFinished) -> _Odd | None:
        self._turn(f"result {event.result.call_id}")
        pending = self._pending(event.result.call_id)
        if pending is None:
            return None  # the fold names it
        if event.result.name != pending.call.name:
            return _Odd("a result has another tool's name", event.result.name, pending.call.name)
        if self.is_blind:
            return None
        if event.interrupted or not pending.is_started:
            return self._is_settled(event)
        return self._is_due(event.result.call_id)

    def _pending(self, call_id: str) -> PendingCall | None:
        return next((p for p in self._c.pending if p.call.id == call_id), None)

    def _is_due(self, call_id: str) -> _Odd | None:
        """Whether the call is of the group that runs now."""
        self._drop_done_groups()
        if not self._groups:
            decision = self._decide()
            if not isinstance(decision, RunTools):
                return _Odd("a tool runs where something else is due", call_id, _name(decision))
            self._groups = tuple(tuple(p.call.id for p in group) for group in decision.groups)
        if call_id not in self._groups[0]:
            return _Odd("a tool runs out of its turn", call_id, ", ".join(self._groups[0]))
        return None

    def _drop_done_groups(self) -> None:
        open_ids = {p.call.id for p in self._c.pending}
        while self._groups and not open_ids.intersection(self._groups[0]):
            self._groups = self._groups[1:]

    def _is_settled(self, event: ToolFinished) -> _Odd | None:
        """Whether a call that did not run to its end is told what it must be told."""
        if self._settling is not None:
            settling = self._settling
            self._settling = _Settling(settling.before, (*settling.results, event))
            return None
        self._drop_done_groups()
        due = self._settled
        if not due and (not self._groups or self._may_be_new):
            decision = self._decide()
            due = decision.results if isinstance(decision, Settle) else ()
        if due and _is_told(event, due[0]):
            self._groups, self._settled = (), due[1:]
            return None
        self._settling = _Settling(self._c, (event,))
        return None

    def _check_settling(self, event: TurnFinished) -> _Odd | None:
        """Whether the end of the turn explains what the last calls were told."""
        settling = self._settling
        if settling is None:
            return None
        stop = Finish(outcome=event.result.outcome, error=event.result.error)
        limits = replace(self._limits(), stop=stop)
        decision = decide(settling.before, limits)
        due = decision.results if isinstance(decision, Settle) else ()
        for number, result in enumerate(settling.results):
            if number >= len(due) or not _is_told(result, due[number]):
                told = due[number].result.content if number < len(due) else _name(decision)
                what = "a call that did not run to its end is told something else"
                return _Odd(what, result.result.content, told, f"call {result.result.call_id}")
        return None


_CHECKS: Mapping[type, Callable[[AgentCheck, Any], _Odd | None]] = MappingProxyType(
    {
        AgentStarted: AgentCheck._agent_started,
        AgentContinued: AgentCheck._agent_continued,
        TurnStarted: AgentCheck._turn_started,
        ModelRequested: AgentCheck._model_requested,
        ModelResponded: AgentCheck._model_responded,
        ModelFailed: AgentCheck._model_failed,
        Nudged: AgentCheck._nudged,
        ToolStarted: AgentCheck._tool_started,
        ToolFinished: AgentCheck._tool_finished,
        Compacted: AgentCheck._compacted,
        TurnFinished: AgentCheck._turn_finished,
    }
)


def _first_other_part(event: AgentStarted) -> str:
    """Which part of the prefix is another than the one that was sent."""
    mine = part_digests(event.system, event.tools)
    if len(mine) == len(event.parts):
        names = ("the system prompt", *(f"tool {tool.name}" for tool in event.tools))
        for name, one, other in zip(names, mine, event.parts, strict=True):
            if one != other:
                return name
    elif event.parts:
        return "the number of its tools"
    return "the system prompt or a tool"


def _is_told(event: ToolFinished, due: ToolFinished) -> bool:
    """Whether a recorded result is the decided one; what was found in the tree may follow it."""
    mine, theirs = event.result, due.result
    return (
        mine.call_id == theirs.call_id
        and mine.is_error == theirs.is_error
        and event.interrupted == due.interrupted
        and mine.content.startswith(theirs.content)
        and (mine.content == theirs.content or event.interrupted)
    )


def _is_end(decision: Finish, outcome: Outcome, error: str) -> bool:
    return decision.outcome == outcome and decision.error == error


def _wrong_end(decision: Decision, event: TurnFinished) -> _Odd | None:
    """What is wrong with an end that the rules did not decide."""
    result = event.result
    if result.outcome in _AT_ANY_TIME:
        return None
    is_given = result.outcome in _FROM_OUTSIDE and bool(result.error_kind)
    if isinstance(decision, Finish) or not is_given:
        return _Odd("a turn ends otherwise", f"{result.outcome} {result.error}", _name(decision))
    return None


def _name(decision: Decision) -> str:
    """A decision in a few words."""
    match decision:
        case CallModel():
            return "a model call"
        case RunTools(groups=groups):
            return f"tools: {', '.join(p.call.name for p in groups[0])}"
        case Settle(results=results):
            return f"settling {', '.join(r.result.call_id for r in results)}"
        case Nudge(text=text):
            return f"the words {text!r}"
        case Clear(call_ids=ids):
            return f"removing the results of {', '.join(ids)}"
        case Summarise(keep_from=count):
            return f"a summary of {count} messages"
        case Finish(outcome=outcome, error=error):
            return f"the end: {outcome} {error}".strip()
    raise AssertionError(decision)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
