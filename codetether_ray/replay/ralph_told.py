"""What a Ralph run's own records say: for the text of a replay, and for its page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from codetether_ray.core.events import (
    AttemptEnded,
    AttemptFaulted,
    AttemptStarted,
    CriterionJudged,
    DiagnosisMade,
    Event,
    GateRun,
    RalphContinued,
    RalphFinished,
    RalphStarted,
    StoryEnded,
    StoryMerged,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A sentence on what happened, whether it is good, and labelled texts that belong to it."""

    words: str
    is_ok: bool = True
    texts: tuple[tuple[str, str], ...] = ()


def told(event: Event) -> Told | None:
    """What an event of Ralph's coordinator says; None for others."""
    tell = _TELL.get(type(event))
    return tell(event) if tell is not None else None


def _started(e: RalphStarted) -> Told:
    stories = "\n".join(f"{s.get('id')}: {s.get('title')}" for s in e.stories)
    gates = "\n".join(f"{name}: {command}" for name, command in e.gates.items())
    words = f"ralph begins {e.feature} ({len(e.stories)} stories) on {e.branch}"
    texts = (("stories", stories), ("gates", gates), ("start", e.start), ("note", e.note))
    return Told(words=words, texts=texts)


def _continued(e: RalphContinued) -> Told:
    passed = sum(story.get("passes") is True for story in e.stories)
    return Told(words=f"ralph goes on: {passed} of {len(e.stories)} stories have passed")


def _attempt(e: AttemptStarted) -> Told:
    return Told(
        words=f"{e.story}: attempt {e.attempt} begins ({e.title})", texts=(("base", e.base),)
    )


def _attempted(e: AttemptEnded) -> Told:
    texts = (("why", e.detail), ("files", "\n".join(e.files)), ("commit", e.commit))
    words = f"{e.story}: attempt {e.attempt} is {e.status}"
    return Told(words=words, is_ok=e.status == "done", texts=texts)


def _faulted(e: AttemptFaulted) -> Told:
    words = f"{e.story}: attempt {e.attempt} is broken off, and counts as none"
    return Told(words=words, is_ok=False, texts=(("why", e.error),))


def _merged(e: StoryMerged) -> Told:
    texts = (("conflicts", "\n".join(e.conflicts)), ("why", e.detail), ("commit", e.commit))
    return Told(words=f"{e.story}: {e.status}", is_ok=e.status != "unmerged", texts=texts)


def _gate(e: GateRun) -> Told:
    how = "passed" if e.passed else "did not end in time" if e.timed_out else f"exit {e.exit_code}"
    words = f"{e.story}: gate {e.gate}: {how} ({e.elapsed_ms / 1000:.1f} s)"
    return Told(words=words, is_ok=e.passed, texts=(("command", e.command), ("output", e.output)))


def _story(e: StoryEnded) -> Told:
    cause = f" ({e.cause})" if e.cause else ""
    texts = (("detail", e.detail), ("files", "\n".join(e.files)), ("commit", e.commit))
    return Told(words=f"{e.story}: {e.status}{cause}", is_ok=e.status == "passed", texts=texts)


def _diagnosis(e: DiagnosisMade) -> Told:
    return Told(words=f"{e.story}: diagnosis", texts=(("finding", e.finding),))


def _criterion(e: CriterionJudged) -> Told:
    how = "is amended" if e.is_granted else "stays as it is"
    texts = (("was", e.old), ("proposal", e.new), ("evidence", e.evidence), ("by", e.by))
    return Told(words=f"{e.story}: criterion {e.criterion} {how}", texts=texts)


def _finished(e: RalphFinished) -> Told:
    error = (("error", str(e.result.get("error") or "")),)
    return Told(words=f"ralph ends: {e.outcome}", is_ok=e.outcome == "completed", texts=error)


_TELL: Mapping[type, Callable[[Any], Told]] = MappingProxyType(
    {
        RalphStarted: _started,
        RalphContinued: _continued,
        AttemptStarted: _attempt,
        AttemptEnded: _attempted,
        AttemptFaulted: _faulted,
        StoryMerged: _merged,
        GateRun: _gate,
        StoryEnded: _story,
        DiagnosisMade: _diagnosis,
        CriterionJudged: _criterion,
        RalphFinished: _finished,
    }
)
