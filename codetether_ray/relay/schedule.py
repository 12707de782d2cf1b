"""Whose turn is next, or why there is none: a question to the journal's fold alone."""

from dataclasses import dataclass
from typing import Literal

from codetether_ray.core.events import KrMeasured
from codetether_ray.relay.convergence import converged
from codetether_ray.relay.memory import Memory

RelayOutcome = Literal[
    "all_met",
    "converged",
    "max_rounds",
    "budget",
    "failed",
    "interrupted",
    "cancelled",
    "denied",
    "pending_approval",
]
"""How a relay ended. `max_rounds`: all its rounds were done. The last two: nothing was done,
because somebody did not want the objective, or has yet to decide on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A turn to come: its number in the relay, its round (both from 1), its place in that."""

    turn: int
    round: int
    idx: int
    member: str
    sender: str
    """Whose handoff it gets: a member, or `user`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """There is no further turn."""

    outcome: RelayOutcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToMeasure:
    """The key results are to be measured before anything else."""

    turn: int
    commit: str


def next_step(memory: Memory, rounds: int, *, measures: bool) -> Place | ToMeasure | Over:
    """What a relay does next; `measures`: it works towards key results."""
    count = len(memory.turns)
    if measures:
        measured = memory.measured.get(count)
        if measured is None:
            return ToMeasure(turn=count, commit=memory.commit)
        if is_all_met(measured):
            return Over(outcome="all_met", reason="every key result is met")
    place = _next_place(memory)
    found = converged(memory.turns, memory.base, ends_round=place.idx == 0)
    if found.is_reached:
        return Over(outcome="converged", reason=found.reason)
    if place.round > rounds:
        return Over(outcome="max_rounds", reason=f"all {rounds} rounds were done")
    return place


def is_all_met(measured: KrMeasured) -> bool:
    """Whether every key result is met; without any, none is."""
    wanted = {reading.kr_id for reading in measured.readings}
    return bool(wanted) and wanted <= set(measured.met)


def _next_place(memory: Memory) -> Place:
    turns, team = memory.turns, memory.team
    if not turns:
        return Place(turn=1, round=1, idx=0, member=team[0].name, sender="user")
    last = turns[-1]
    number, idx = last.round, last.idx + 1
    if idx >= len(team):
        number, idx = number + 1, 0
    return Place(
        turn=last.turn + 1, round=number, idx=idx, member=team[idx].name, sender=last.member
    )
