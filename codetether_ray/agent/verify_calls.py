"""Whether an agent's calls start, end and are settled as its rules decide."""

from dataclasses import dataclass

from codetether_ray.agent.again import Again
from codetether_ray.agent.conversation import Conversation, PendingCall
from codetether_ray.agent.decide import DIED, Finish, RunTools, Settle, unfinished
from codetether_ray.agent.oddity import Odd, name_of
from codetether_ray.core.events import Event, ToolFinished, ToolStarted, TurnFinished
from codetether_ray.ports.tool import Effect


@dataclass(frozen=True, slots=True)
class _Settling:
    """Calls that were settled because the turn was to end; its end will say why."""

    before: Conversation
    results: tuple[ToolFinished, ...]


class CallsCheck:
    """What the process that decides has decided on its calls and not yet recorded."""

    def __init__(self, again: Again) -> None:
        self._again = again
        self._groups: tuple[tuple[str, ...], ...] = ()
        """Ids of the calls that run, and of those that run after them."""
        self._settled: tuple[ToolFinished, ...] = ()
        """What a decision to settle has still to record."""
        self._settling: _Settling | None = None
        self._found: frozenset[str] = frozenset()
        """Ids of writes that a dead process had begun; what became of them only the tree told."""

    def forget(self) -> None:
        """A process that begins anew knows only what is recorded."""
        self._groups, self._settled, self._settling = (), (), None
        pending = self._again.conversation.pending
        self._found = frozenset(p.call.id for p in pending if p.effect == Effect.WRITE)

    def answered(self) -> None:
        """The model made other calls."""
        self._groups = ()

    def is_left_unsettled(self, event: Event) -> Odd | None:
        """Calls were told that the turn ends, and then it goes on."""
        if self._settling is None or isinstance(event, (ToolFinished, TurnFinished)):
            return None
        told = self._settling.results[0].result
        return Odd("a call is not run", told.content, "a result", f"call {told.call_id}")

    def started(self, event: ToolStarted) -> Odd | None:
        """Whether a call may start."""
        self._again.turn(f"call {event.call.id}")
        pending = self._again.pending(event.call.id)
        if pending is None:
            return None  # the fold names it
        if pending.call != event.call:
            return Odd("another call runs than the model made", event.call, pending.call)
        if self._again.is_blind:
            return None
        if event.step != self._again.conversation.step - 1:
            return Odd("a call has another step", event.step, self._again.conversation.step - 1)
        if odd := self._is_due(event.call.id):
            return odd
        effect = str(self._again.limits().effects.get(event.call.name, Effect.READ))
        if event.effect != effect:
            return Odd("a call has another effect", event.effect, effect)
        if pending.is_started:
            return Odd("a call starts twice", event.call.id)
        return None

    def finished(self, event: ToolFinished) -> Odd | None:
        """Whether a call may have this result."""
        self._again.turn(f"result {event.result.call_id}")
        pending = self._again.pending(event.result.call_id)
        if pending is None:
            return None  # the fold names it
        if event.result.name != pending.call.name:
            return Odd("a result has another tool's name", event.result.name, pending.call.name)
        if self._again.is_blind:
            return None
        if event.interrupted or not pending.is_started:
            return None if self._is_found(event, pending) else self._is_settled(event)
        return self._is_due(event.result.call_id)

    def _is_due(self, call_id: str) -> Odd | None:
        """Whether the call is of the group that runs now."""
        self._drop_done_groups()
        if not self._groups:
            decision = self._again.decide()
            if not isinstance(decision, RunTools):
                return Odd("a tool runs where something else is due", call_id, name_of(decision))
            self._groups = tuple(tuple(p.call.id for p in group) for group in decision.groups)
        if call_id not in self._groups[0]:
            return Odd("a tool runs out of its turn", call_id, ", ".join(self._groups[0]))
        return None

    def _drop_done_groups(self) -> None:
        open_ids = {p.call.id for p in self._again.conversation.pending}
        while self._groups and not open_ids.intersection(self._groups[0]):
            self._groups = self._groups[1:]

    def _is_found(self, event: ToolFinished, pending: PendingCall) -> bool:
        """Whether it tells of a write that may or may not have been done: no decision."""
        due = unfinished(pending, DIED, self._again.conversation)
        return event.result.call_id in self._found and _is_told(event, due)

    def _is_settled(self, event: ToolFinished) -> Odd | None:
        """Whether a call that did not run to its end is told what it must be told."""
        if self._settling is not None:
            settling = self._settling
            self._settling = _Settling(settling.before, (*settling.results, event))
            return None
        self._drop_done_groups()
        due = self._settled
        if not due and not self._groups:
            decision = self._again.decide()
            due = decision.results if isinstance(decision, Settle) else ()
        if due and _is_told(event, due[0]):
            self._groups, self._settled = (), due[1:]
            return None
        self._settling = _Settling(self._again.conversation, (event,))
        return None

    def end_of_turn(self, event: TurnFinished) -> Odd | None:
        """Whether the end of the turn explains what the last calls were told."""
        settling = self._settling
        if settling is None:
            return None
        stop = Finish(outcome=event.result.outcome, error=event.result.error)
        decision = self._again.decide_stop(stop, settling.before)
        due = decision.results if isinstance(decision, Settle) else ()
        for number, result in enumerate(settling.results):
            if number >= len(due) or not _is_told(result, due[number]):
                told = due[number].result.content if number < len(due) else name_of(decision)
                what = "a call that did not run to its end is told something else"
                return Odd(what, result.result.content, told, f"call {result.result.call_id}")
        return None


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
