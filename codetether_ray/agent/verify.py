"""Decides again what an agent decided, from its records alone, and finds the first departure.

What came from outside enters as it was recorded: answers of models, results of tools, messages,
cancellations, deadlines, budgets, quotas, deaths. All else is recomputed: the prompt's digests,
which tools run and in which groups, nudges, compactions, what calls without a result are told,
how the turn ended and what it came to.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from codetether_ray.agent import compaction
from codetether_ray.agent.again import Again
from codetether_ray.agent.compaction import Clear, Summarise
from codetether_ray.agent.conversation import Conversation
from codetether_ray.agent.decide import (
    DECIDER,
    CallModel,
    Decision,
    Finish,
    Nudge,
)
from codetether_ray.agent.digests import MessageChain, part_digests, prefix_digest
from codetether_ray.agent.fold import apply
from codetether_ray.agent.oddity import Odd, name_of, shown
from codetether_ray.agent.verify_calls import CallsCheck
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

_FROM_OUTSIDE: frozenset[Outcome] = frozenset(
    {"cancelled", "timeout", "budget", "waiting", "failed", "needs_decision"}
)
"""Ends that something outside of the rules may bring about."""

_AT_ANY_TIME: frozenset[Outcome] = frozenset({"cancelled", "timeout"})


class AgentCheck:
    """Follows one agent through its records; after the first departure it is of no more use."""

    def __init__(self) -> None:
        self._again = Again()
        self.calls = CallsCheck(self._again)
        """Follows its calls."""
        self._chain = MessageChain("")
        self._sent = 0  # messages of the last request whose digest was right
        self._request: ModelRequested | None = None
        """The model call that has neither answer nor failure."""
        self._ids: set[str] | None = set()
        """Of all calls in the messages; None: to be gathered anew."""

    @property
    def decisions(self) -> int:
        """How many events were compared with what is decided here."""
        return self._again.decisions

    @property
    def is_blind(self) -> bool:
        """It was recorded before decisions were: only digests and the order can be checked."""
        return self._again.is_blind

    @property
    def _c(self) -> Conversation:
        return self._again.conversation

    @property
    def is_idle(self) -> bool:
        """Whether no turn is open."""
        return self._c.turn is None or not self._c.turn.is_open

    def take(self, event: Event, *, is_reborn: bool = False) -> Departure | None:
        """The departure that an event is, without its place in the run; None if it is none.

        `is_reborn`: the run's writer was another one at the event before.
        """
        if is_reborn or isinstance(event, (AgentRestarted, AgentContinued)):
            self._begin_anew()
        step = getattr(event, "step", None)
        try:
            odd = self._check(event)
            if odd is None:
                self._again.conversation = apply(self._c, event)
                return None
        except HistoryError as error:
            return Departure(level="protocol", what=error.detail, step=step)
        return Departure(
            level="decisions",
            what=odd.what,
            cause=self._cause(),
            step=step,
            part=odd.part,
            recorded=shown(odd.recorded),
            expected=shown(odd.expected),
        )

    def _check(self, event: Event) -> Odd | None:
        """What is odd, unless nothing is."""
        check = _CHECKS.get(type(event))
        if check is None:
            return None
        if not (self._c.is_started or isinstance(event, AgentStarted)):
            raise HistoryError("?", "something happens before the agent begins")
        return self.calls.is_left_unsettled(event) or check(self, event)

    def _begin_anew(self) -> None:
        """The process that decided is gone, and its model call with it."""
        self.calls.forget()
        self._request = None

    def _cause(self) -> Cause:
        terms = self._c.terms
        return "tampered" if terms is None or terms.decider == DECIDER else "newer code"

    # -- the agent and its turns ------------------------------------------------------------------

    def _agent_started(self, event: AgentStarted) -> Odd | None:
        self._again.is_blind = event.terms is None
        digest = prefix_digest(event.system, event.tools)
        if event.prefix_digest != digest:
            part = _first_other_part(event)
            return Odd("the prompt's prefix is not the one it began with", part=part)
        self._chain = MessageChain(event.prefix_digest)
        return None

    def _agent_continued(self, event: AgentContinued) -> Odd | None:
        self._again.is_blind = False
        return None

    def _turn_started(self, event: TurnStarted) -> Odd | None:
        self._begin_anew()
        turn = self._c.turn
        number = 0 if turn is None else turn.number + 1
        if event.turn == number:
            return None
        if turn is None or event.turn != turn.number:
            return Odd("a turn has a wrong number", event.turn, number)
        if event.message != turn.message:
            return Odd("a turn is taken up again with another message", part="message 0")
        return None

    def _turn_finished(self, event: TurnFinished) -> Odd | None:
        turn = self._again.turn("the end of a turn")
        result = event.result
        stopped = self.calls.end_of_turn(event)
        self._begin_anew()
        if event.turn != turn.number:
            return Odd("another turn ends than the open one", event.turn, turn.number)
        if stopped is not None:
            return stopped
        said = turn.text
        if not self.is_blind and not self._c.pending:
            decision = self._again.decide()
            if isinstance(decision, Finish) and _is_end(decision, result.outcome, result.error):
                said = turn.text if decision.text is None else decision.text
                if result.error_kind != decision.error_kind:
                    return Odd("a turn ends otherwise", result.error_kind, decision.error_kind)
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
                return Odd(
                    "a turn's result is not what its records come to", recorded, expected, name
                )
        return None

    # -- model calls ------------------------------------------------------------------------------

    def _model_requested(self, event: ModelRequested) -> Odd | None:
        self._again.turn(f"model call {event.step}")
        c, spec = self._c, self._c.spec
        assert spec is not None
        for name, recorded, expected in (
            ("step", event.step, c.step),
            ("attempt", event.attempt, c.attempts),
            ("model", event.model, spec.model),
        ):
            if recorded != expected:
                return Odd(f"a model call has another {name}", recorded, expected)
        odd = None if self.is_blind else self._may_ask(event)
        odd = odd or self._is_prompt(event)
        self._request = event
        return odd

    def _may_ask(self, event: ModelRequested) -> Odd | None:
        """Whether a call is due. One without an end was too long for the provider."""
        was_too_long = self._request is not None
        if was_too_long and event.purpose == "step":
            return Odd("the model is asked again while a call has no end", f"step {event.step}")
        decision = self._again.decide(is_overflowing=was_too_long)
        if event.purpose == "step" and isinstance(decision, CallModel):
            return None
        if event.purpose == "compaction" and decision == Summarise(keep_from=event.messages):
            if self._c.summary is None:
                return None
            return Odd("a summary that was there is asked for again")
        what = "a model call" if event.purpose == "step" else f"a summary of {event.messages}"
        return Odd("the model is asked where something else is due", what, name_of(decision))

    def _is_prompt(self, event: ModelRequested) -> Odd | None:
        c = self._c
        if event.purpose == "compaction":
            if c.terms is None:
                return None
            text = compaction.summary_request(c, event.messages, c.terms.room)
            if event.digest != MessageChain("").digest((user(text),)):
                return Odd("the summariser was asked something else", part="message 0")
            return None
        if event.messages != len(c.messages):
            return Odd("the model was sent other messages", event.messages, len(c.messages))
        digest = self._chain.digest(c.messages)
        if event.digest != digest:
            part = self._first_other(event)
            return Odd("the model was sent another prompt", event.digest, digest, part)
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

    def _model_responded(self, event: ModelResponded) -> Odd | None:
        asked, self._request = self._request, None
        self._again.turn(f"answer {event.step}")
        if asked is None or asked.step != event.step or asked.purpose != event.purpose:
            return Odd("a model answers what it was not asked", f"answer {event.step}")
        if event.purpose == "compaction":
            return None
        self.calls.answered()
        if self._ids is None:
            self._ids = {call.id for m in self._c.messages for call in m.tool_calls}
        for call in event.response.message.tool_calls:
            if call.id in self._ids:
                return Odd("a call has the id of an earlier one", call.id)
        self._ids.update(call.id for call in event.response.message.tool_calls)
        return None

    def _model_failed(self, event: ModelFailed) -> Odd | None:
        asked, self._request = self._request, None
        if asked is None or asked.step != event.step:
            return Odd("a model call fails that was not made", f"failure {event.step}")
        return None

    def _nudged(self, event: Nudged) -> Odd | None:
        self._again.turn("a nudge")
        if self.is_blind:
            return None
        decision = self._again.decide()
        if decision != Nudge(reason=event.reason, text=event.text):
            return Odd("the model is told to go on", event.text, name_of(decision))
        return None

    def _compacted(self, event: Compacted) -> Odd | None:
        asked, self._request = self._request, None
        self._again.turn("a compaction")
        self._ids = None
        if event.step != self._c.step:
            return Odd("a compaction has another step", event.step, self._c.step)
        if self.is_blind:
            return None
        if event.stage == "results":
            decision = self._again.decide()
            if decision != Clear(call_ids=event.call_ids):
                return Odd("other results are removed", event.call_ids, name_of(decision))
            return None
        return self._summed_up(event, asked)

    def _summed_up(self, event: Compacted, asked: ModelRequested | None) -> Odd | None:
        c = self._c
        if c.summary is not None:
            keep_from, text = c.summarising, c.summary.message.text.strip()
        elif asked is not None and asked.purpose == "compaction":
            keep_from, text = asked.messages, ""
        else:
            return Odd("the conversation is shortened where nobody was asked for a summary")
        if event.keep_from != keep_from:
            return Odd("another part is summed up", event.keep_from, keep_from)
        expected = text or compaction.bare_summary(c, keep_from)
        if event.summary != expected:
            return Odd("the summary is not the one that was written", event.summary, expected)
        return None


def _started(check: AgentCheck, event: ToolStarted) -> Odd | None:
    return check.calls.started(event)


def _finished(check: AgentCheck, event: ToolFinished) -> Odd | None:
    return check.calls.finished(event)


_CHECKS: Mapping[type, Callable[[AgentCheck, Any], Odd | None]] = MappingProxyType(
    {
        AgentStarted: AgentCheck._agent_started,
        AgentContinued: AgentCheck._agent_continued,
        TurnStarted: AgentCheck._turn_started,
        ModelRequested: AgentCheck._model_requested,
        ModelResponded: AgentCheck._model_responded,
        ModelFailed: AgentCheck._model_failed,
        Nudged: AgentCheck._nudged,
        ToolStarted: _started,
        ToolFinished: _finished,
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


def _is_end(decision: Finish, outcome: Outcome, error: str) -> bool:
    return decision.outcome == outcome and decision.error == error


def _wrong_end(decision: Decision, event: TurnFinished) -> Odd | None:
    """What is wrong with an end that the rules did not decide."""
    result = event.result
    if result.outcome in _AT_ANY_TIME:
        return None
    is_given = result.outcome in _FROM_OUTSIDE and bool(result.error_kind)
    if isinstance(decision, Finish) or not is_given:
        return Odd("a turn ends otherwise", f"{result.outcome} {result.error}", name_of(decision))
    return None
