"""Decides again what a Ralph coordinator decided, from its records alone.

From outside come how agents' turns ended, commits, what gates printed, somebody's word on a
criterion. Recomputed: whether a story may begin, its attempt's number, what its agent's words
mean, that what passed had passed every gate on its one commit, and the outcome.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.departure import Departure
from codetether_ray.core.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    GateRun,
    RalphContinued,
    RalphFinished,
    RalphStarted,
    StoryEnded,
)
from codetether_ray.ralph.board import Board
from codetether_ray.ralph.reading import read_turn
from codetether_ray.ralph.rules import RULES


class RalphCheck:
    """Follows the records of a run; after the first departure it is of no more use."""

    def __init__(self) -> None:
        self._board = Board()
        self._stories: dict[str, JsonObject] = {}
        self._gates: dict[str, str] = {}
        self._most = 0
        self._rules = RULES
        self.decisions = 0

    def take(self, event: Event) -> Departure | None:
        """The departure that an event of the run's own voice is; None if it is none."""
        check = _CHECKS.get(type(event))
        odd = check(self, event) if check is not None else None
        self._board.take(event)
        if odd is None or self._rules == RULES:
            return odd
        return replace(odd, cause="newer code")

    def _begun(self, event: RalphStarted | RalphContinued) -> Departure | None:
        self._stories = {str(story.get("id")): story for story in event.stories}
        self._gates, self._most, self._rules = dict(event.gates), event.max_iterations, event.rules
        return None

    @property
    def _passed(self) -> set[str]:
        by_file = {id for id, story in self._stories.items() if story.get("passes") is True}
        return by_file | self._board.passed

    def _started(self, event: AttemptStarted) -> Departure | None:
        self.decisions += 1
        state, story = self._board[event.story], self._stories.get(event.story)
        if story is None:
            return _odd("an attempt is at a story that is not in the PRD", event.story)
        if event.story in self._passed or state.status == "blocked":
            return _odd(f"story {event.story} is tried though it is over", event.attempt)
        needs = story.get("depends_on")
        left = set(needs if isinstance(needs, list) else ()) - self._passed
        if left:
            waits = ", ".join(sorted(map(str, left)))
            return _odd(f"story {event.story} begins before what it depends on passed", waits)
        if state.is_open or event.attempt != state.attempt + 1:
            what = f"story {event.story} has a wrong attempt"
            return _odd(what, event.attempt, str(state.attempt + 1))
        if self._board.iterations >= self._most:
            return _odd("more attempts are made than were allowed", event.story, str(self._most))
        return None

    def _ended(self, event: AttemptEnded) -> Departure | None:
        self.decisions += 1
        state = self._board[event.story]
        if state.started is None or state.attempt != event.attempt:
            return _odd(f"an attempt at {event.story} ends that had not begun", event.attempt)
        if event.result is None:
            return None
        gates = bool(self._gates)
        wanted, _ = read_turn(event.result, event.story, event.files, has_gates=gates)
        if wanted != event.status:
            what = f"the attempt at {event.story} came to something else"
            return _odd(what, event.status, wanted)
        return None

    def _gate(self, event: GateRun) -> Departure | None:
        merged = self._board[event.story].merged
        if merged is None or merged.commit != event.commit:
            return _odd(f"a gate of {event.story} ran on another commit", event.commit)
        return None

    def _judged(self, event: StoryEnded) -> Departure | None:
        self.decisions += 1
        state = self._board[event.story]
        if event.status != "passed":
            return None
        if state.merged is None or state.merged.commit != event.commit:
            return _odd(f"story {event.story} passed with a commit that was not judged", "")
        for gate in self._gates:
            run = state.gates.get(gate)
            if run is None or not run.passed:
                return _odd(f"story {event.story} passed without its gate {gate}", "passed")
        return None

    def _finished(self, event: RalphFinished) -> Departure | None:
        self.decisions += 1
        is_complete = self._passed >= set(self._stories)
        if self._stories and is_complete != (event.outcome == "completed"):
            left = ", ".join(sorted(set(self._stories) - self._passed))
            if is_complete and event.outcome in ("interrupted", "budget", "failed"):
                return None  # it was cut off after the last story
            return _odd("the run's outcome is another", event.outcome, f"left: {left or 'none'}")
        return None


def _odd(what: str, recorded: object, expected: str = "") -> Departure:
    return Departure(level="decisions", what=what, recorded=str(recorded), expected=expected)


_CHECKS: Mapping[type, Callable[[RalphCheck, Any], Departure | None]] = MappingProxyType(
    {
        RalphStarted: RalphCheck._begun,
        RalphContinued: RalphCheck._begun,
        AttemptStarted: RalphCheck._started,
        AttemptEnded: RalphCheck._ended,
        GateRun: RalphCheck._gate,
        StoryEnded: RalphCheck._judged,
        RalphFinished: RalphCheck._finished,
    }
)
