"""The message with which a member's turn begins: a question to the journal's fold alone."""

import hashlib

from codetether_ray.core.events import TurnDone
from codetether_ray.relay import prompts
from codetether_ray.relay.markers import Question, questions
from codetether_ray.relay.memory import Memory
from codetether_ray.relay.schedule import Place

_UNFINISHED = {
    "max_steps": "it had used up its steps",
    "stuck": "it repeated itself without progress",
    "timeout": "its time was over",
}
"""Outcomes of a turn after which the relay goes on: what there is gets handed over."""


def goes_on_after(outcome: str) -> bool:
    """Whether the next member can take over after a turn that ended so."""
    return outcome == "completed" or outcome in _UNFINISHED


def baton(task: str, objective: str, memory: Memory, place: Place) -> str:
    """What the member at `place` is told: the task once, then what is new to it."""
    mine = memory.turns_of(place.member)
    parts = [] if mine else _introduction(task, objective, memory, place)
    if memory.turns:
        parts.append(_handoff(memory.turns[-1]))
    since = mine[-1].turn if mine else 0
    parts += _news(memory, place, since)
    parts.append(_END if memory.turns else _FIRST)
    return "\n\n".join(parts)


def digest(text: str) -> str:
    """SHA-256 of a baton."""
    return hashlib.sha256(text.encode()).hexdigest()


def payload(turn: TurnDone) -> str:
    """What a turn hands on: its answer, or what was made of it."""
    said = turn.handoff or turn.result.text.strip() or "(it said nothing)"
    why = _UNFINISHED.get(turn.result.outcome)
    return f"(Its turn ended before it was finished: {why}.)\n{said}" if why else said


_FIRST = (
    "You go first. Say in a few sentences how the team should go about it, then do the first "
    "useful step yourself."
)
_END = "Go on from there with the next useful step."


def _introduction(task: str, objective: str, memory: Memory, place: Place) -> list[str]:
    goal = [objective] if objective else []
    team = f"The team, in the order of turns (you are @{place.member}):\n"
    return [f"Task:\n{task}", *goal, f"{team}{prompts.roster(memory.team)}"]


def _handoff(turn: TurnDone) -> str:
    return f"Handoff from @{turn.member} (round {turn.round}):\n{payload(turn)}"


def _news(memory: Memory, place: Place, since: int) -> list[str]:
    """Who joined, what was asked of this member, and how the key results stand."""
    parts = []
    joined = [
        memory.by_name[str(turn.specialist["name"])]
        for turn in memory.turns
        if turn.specialist is not None and turn.turn >= since > 0
    ]
    if joined:
        parts.append(f"New in the team:\n{prompts.roster(tuple(joined))}")
    asked = asked_of(memory, place.member, since)
    if asked:
        lines = "\n".join(f"- @{each.sender}: {each.text}" for each in asked)
        parts.append(f"Asked of you (answer in your handoff):\n{lines}")
    if memory.standing is not None:
        parts.append(f"Key results, as measured now:\n{prompts.standing(memory.standing)}")
    return parts


def asked_of(memory: Memory, name: str, since: int) -> tuple[Question, ...]:
    """What others asked a member after turn `since`."""
    team = memory.by_name
    return tuple(
        question
        for turn in memory.turns
        if turn.turn > since
        for question in questions(turn.member, turn.result.text, team)
        if question.to == name
    )
