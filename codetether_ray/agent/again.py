"""An agent as its records tell it, and what the rules decide from them."""

import json
from dataclasses import replace

from codetether_ray.agent.conversation import Conversation, PendingCall, Turn
from codetether_ray.agent.decide import Decision, Finish, Limits, decide
from codetether_ray.core.errors import HistoryError
from codetether_ray.ports.tool import Effect


class Again:
    """The conversation up to a record; whoever folds it sets it."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.decisions = 0
        """How often was decided."""
        self.is_blind = False
        """It was recorded before decisions were: only digests and the order can be checked."""

    def decide(self, *, is_overflowing: bool = False) -> Decision:
        """What is due."""
        self.decisions += 1
        return decide(self.conversation, replace(self.limits(), is_overflowing=is_overflowing))

    def decide_stop(self, stop: Finish, before: Conversation) -> Decision:
        """What was due where the turn had to end; already counted."""
        return decide(before, replace(self.limits(), stop=stop))

    def limits(self) -> Limits:
        """Those that are recorded."""
        spec, terms = self.conversation.spec, self.conversation.terms
        assert spec is not None
        assert terms is not None
        return Limits(
            max_steps=spec.max_steps,
            max_tool_calls=spec.max_tool_calls,
            room=terms.room,
            effects={name: Effect(effect) for name, effect in terms.effects.items()},
            schema=json.loads(spec.output_schema) if spec.output_schema else None,
        )

    def turn(self, what: str) -> Turn:
        """The open turn.

        Raises:
            HistoryError: there is none, so that `what` cannot be.
        """
        turn = self.conversation.turn
        if turn is None or not turn.is_open:
            spec = self.conversation.spec
            raise HistoryError(spec.path if spec else "?", f"{what} comes outside a turn")
        return turn

    def pending(self, call_id: str) -> PendingCall | None:
        """The call without a result, if it is one."""
        return next((p for p in self.conversation.pending if p.call.id == call_id), None)
