"""Decides again what a relay's coordinator decided, from its records alone.

From outside come what agents said, commits, measurements, and what stopped it. Recomputed: the
team in the planner's answer, whose turn it is, the baton, and why the relay ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from codetether_ray.core.departure import Departure
from codetether_ray.core.errors import PlanError
from codetether_ray.core.events import (
    Event,
    KrMeasured,
    RelayFinished,
    RelayStarted,
    TeamFormed,
    TurnBegun,
    TurnDone,
    TurnFinished,
)
from codetether_ray.core.spec import TurnResult
from codetether_ray.relay.baton import baton, digest
from codetether_ray.relay.memory import Memory
from codetether_ray.relay.profiles import fallback_team, parse_team
from codetether_ray.relay.rules import RULES
from codetether_ray.relay.schedule import Over, Place, ToMeasure, next_step

_PLANNERS = ("planner", "planner-repair")
_DECIDED = frozenset({"all_met", "converged", "max_rounds"})
"""Outcomes that follow from the records; others come from outside."""


class RelayCheck:
    """Follows the records of a relay; after the first departure it is of no more use."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._started: RelayStarted | None = None
        self._turns: dict[str, TurnResult] = {}
        """How each agent's last turn ended."""
        self.decisions = 0

    def take(self, agent: str, event: Event) -> Departure | None:
        """The departure that an event is, without its place in the run; None if it is none."""
        if isinstance(event, TurnFinished):
            self._turns[agent] = event.result
            return None
        check = _CHECKS.get(type(event))
        odd = check(self, event) if check is not None else None
        self._memory = self._memory.after(event)
        if odd is None or self._memory.rules == RULES:
            return odd
        return replace(odd, cause="newer code")

    def _begin(self, event: RelayStarted) -> Departure | None:
        self._started = event
        return None

    def _team(self, event: TeamFormed) -> Departure | None:
        if self._started is None:
            return _odd("a team is formed before the relay began")
        self.decisions += 1
        wanted = self._wanted(self._started.count)
        found = [profile.get("name") for profile in event.profiles]
        if tuple(event.profiles) != tuple(profile.to_json() for profile in wanted):
            return _odd("the team is not the planner's", found, [p.name for p in wanted])
        return None

    def _wanted(self, count: int) -> Any:
        for name in _PLANNERS:
            try:
                return parse_team(self._turns[name].text, count)
            except (KeyError, PlanError):
                continue
        return fallback_team(count)

    def _begun(self, event: TurnBegun) -> Departure | None:
        self.decisions += 1
        step = self._next()
        found = Place(
            turn=event.turn,
            round=event.round,
            idx=event.idx,
            member=event.member,
            sender=event.sender,
        )
        if step != found or not isinstance(step, Place) or self._started is None:
            return _odd(f"turn {event.turn} is not the next step", found, step)
        text = baton(self._started.task, self._started.objective, self._memory, step)
        if digest(text) != event.baton:
            return _odd(f"the baton of turn {event.turn} is another one", event.baton, digest(text))
        return None

    def _done(self, event: TurnDone) -> Departure | None:
        self.decisions += 1
        if self._memory.begun != event.turn:
            return _odd(f"turn {event.turn} is done and was not begun")
        said, told = self._turns.get(f"relay/{event.member}"), event.result
        # what its children used is in its result, and not in its own record
        if said is None or (said.outcome, said.text) != (told.outcome, told.text):
            return _odd(f"the answer of turn {event.turn} is not @{event.member}'s")
        return None

    def _measured(self, event: KrMeasured) -> Departure | None:
        self.decisions += 1
        wanted = ToMeasure(turn=len(self._memory.turns), commit=self._memory.commit)
        if (event.turn, event.commit) != (wanted.turn, wanted.commit):
            return _odd("a measurement is of another turn or commit", event.turn, wanted.turn)
        return None

    def _finished(self, event: RelayFinished) -> Departure | None:
        self.decisions += 1
        if event.outcome not in _DECIDED:
            return None
        step = self._next()
        if not isinstance(step, Over) or step.outcome != event.outcome:
            return _odd("the relay did not end so", event.outcome, step)
        return None

    def _next(self) -> object:
        if not self._memory.team or self._started is None:
            return None
        measures = bool(self._started.okr_run_id)
        return next_step(self._memory, self._memory.rounds, measures=measures)


def _odd(what: str, recorded: object = "", expected: object = "") -> Departure:
    return Departure(level="decisions", what=what, recorded=str(recorded), expected=str(expected))


_CHECKS: Mapping[type, Callable[[RelayCheck, Any], Departure | None]] = MappingProxyType(
    {
        RelayStarted: RelayCheck._begin,
        TeamFormed: RelayCheck._team,
        TurnBegun: RelayCheck._begun,
        TurnDone: RelayCheck._done,
        KrMeasured: RelayCheck._measured,
        RelayFinished: RelayCheck._finished,
    }
)
