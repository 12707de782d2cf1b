"""What a relay's own records say: for the text of a replay, and for its page."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from codetether_ray.core.events import (
    Event,
    KrMeasured,
    OkrAnswered,
    RelayContinued,
    RelayFinished,
    RelayStarted,
    TeamFormed,
    TurnBegun,
    TurnDone,
)
from codetether_ray.replay.ralph_told import Told


def told(event: Event) -> Told | None:
    """What an event of a relay's coordinator says; None for others."""
    tell = _TELL.get(type(event))
    return tell(event) if tell is not None else None


def _started(e: RelayStarted) -> Told:
    goal = f" for OKR {e.okr_id}" if e.okr_id else ""
    words = f"a relay of {e.rounds} rounds at most begins{goal}"
    return Told(words=words, texts=(("task", e.task), ("base", e.base), ("note", e.base_note)))


def _continued(e: RelayContinued) -> Told:
    return Told(words=f"the relay goes on, for {e.rounds} rounds at most (rules {e.rules})")


def _answered(e: OkrAnswered) -> Told:
    said = {"approved": "approved", "denied": "denied", "redraft": "denied, another is wanted"}
    words = f"draft {e.number} of the objective is {said[e.answer]}{f' by {e.by}' if e.by else ''}"
    return Told(words=words, is_ok=e.answer == "approved", texts=(("intent", e.intent),))


def _team(e: TeamFormed) -> Told:
    members = "\n".join(f"@{p.get('name')}: {p.get('mission')}" for p in e.profiles)
    words = f"the team has {len(e.profiles)} members"
    return Told(words=words, is_ok=not e.note, texts=(("members", members), ("note", e.note)))


def _begun(e: TurnBegun) -> Told:
    return Told(words=f"turn {e.turn} (round {e.round}): @{e.sender} hands over to @{e.member}")


def _done(e: TurnDone) -> Told:
    how = "" if e.result.is_success else f" ({e.result.outcome})"
    joins = f"; @{e.specialist.get('name')} joins" if e.specialist is not None else ""
    return Told(
        words=f"turn {e.turn}: @{e.member} is done{how}{joins}",
        is_ok=e.result.is_success,
        texts=(("handoff", e.handoff or e.result.text), ("commit", e.commit)),
    )


def _measured(e: KrMeasured) -> Told:
    when = f"after turn {e.turn}" if e.turn else "before the first turn"
    lines = []
    for reading in e.readings:
        known = (e.standing or {}).get(reading.kr_id)
        title = str(known.get("title")) if isinstance(known, dict) else reading.kr_id
        value = f"{reading.value:g}" if reading.value is not None else f"? ({reading.reason})"
        lines.append(f"{title}: {value}{', met' if reading.kr_id in e.met else ''}")
    words = f"{len(e.met)} of {len(e.readings)} key results are met {when}"
    return Told(words=words, texts=(("key results", "\n".join(lines)), ("commit", e.commit)))


def _finished(e: RelayFinished) -> Told:
    is_ok = e.result.get("success") is True
    texts = (("summary", str(e.result.get("summary") or "")),)
    return Told(words=f"the relay ends: {e.outcome}", is_ok=is_ok, texts=texts)


_TELL: Mapping[type, Callable[[Any], Told]] = MappingProxyType(
    {
        RelayStarted: _started,
        RelayContinued: _continued,
        OkrAnswered: _answered,
        TeamFormed: _team,
        TurnBegun: _begun,
        TurnDone: _done,
        KrMeasured: _measured,
        RelayFinished: _finished,
    }
)
