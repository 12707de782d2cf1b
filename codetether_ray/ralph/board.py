"""How every story of a run stands: the fold of the coordinator's events, old and new alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from codetether_ray.core.events import (
    AttemptEnded,
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
from codetether_ray.core.spec import TurnResult
from codetether_ray.ralph.rules import LIKE_FAILURES

_GRANTS_MORE = frozenset({"max_iterations", "blocked", "quality_failed"})
"""Ends of a run after which a resume begins to count anew, and tries blocked stories again."""


@dataclass(slots=True)
class StoryState:
    """One story. An attempt is open from its start to its judgement."""

    id: str
    status: Literal["open", "passed", "blocked"] = "open"
    attempt: int = 0
    """The number of the last one."""
    started: AttemptStarted | None = None
    """The open attempt."""
    ended: AttemptEnded | None = None
    merged: StoryMerged | None = None
    gates: dict[str, GateRun] = field(default_factory=dict)
    """Those that were run on the merged commit."""
    failures: list[StoryEnded] = field(default_factory=list)
    """In a row; what came before the last diagnosis' end is not in it any more."""
    last_failure: StoryEnded | None = None
    finding: str = ""
    """What the diagnosis says."""
    verdict: StoryEnded | None = None
    """The last judgement."""
    turns: list[TurnResult] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether an attempt was begun and not judged."""
        return self.started is not None

    @property
    def needs_diagnosis(self) -> bool:
        """Whether the last attempts failed alike, and nobody has looked why."""
        last = self.failures[-LIKE_FAILURES:]
        alike = len(last) == LIKE_FAILURES and len({f.digest for f in last}) == 1
        return alike and not self.finding and not self.is_open

    @property
    def is_last_chance(self) -> bool:
        """Whether an attempt that fails now is the story's last: it had a diagnosis."""
        return bool(self.finding)

    def judged(self, event: StoryEnded) -> None:
        """The open attempt has ended so, or the story was given up."""
        self.started = self.ended = self.merged = None
        self.gates = {}
        self.verdict = event
        if event.status == "failed":
            self.last_failure = event
            if event.cause == "criterion":  # its terms are others now
                self.failures.clear()
            else:
                self.failures.append(event)
        else:
            self.status = event.status

    def reopened(self) -> None:
        """Somebody resumed a run that had ended without this story."""
        if self.status == "blocked":
            self.status = "open"
        self.failures.clear()
        self.finding = ""


class Board:
    """All stories. `take` is the only thing that changes it, so that a resumed run knows as much
    as one that never stopped.
    """

    def __init__(self) -> None:
        self.stories: dict[str, StoryState] = {}
        self.iterations = 0
        """Attempts begun, diagnoses among them, since the run began or was granted more."""
        self.rules: int | None = None
        """By which it was led last; None: it has not begun."""
        self.start = ""
        self.told: list[StoryEnded] = []
        """The stories that passed in this run, in that order."""
        self.log: list[StoryEnded] = []
        """Every judgement."""

    @classmethod
    def of(cls, history: Sequence[Event]) -> "Board":
        """The board that the coordinator's durable events leave."""
        board = cls()
        for event in history:
            board.take(event)
        return board

    def __getitem__(self, story: str) -> StoryState:
        return self.stories.setdefault(story, StoryState(story))

    @property
    def passed(self) -> frozenset[str]:
        """Ids of the stories that passed in this run."""
        return frozenset(event.story for event in self.told)

    @property
    def blocked(self) -> frozenset[str]:
        """Ids of the stories that were given up."""
        return frozenset(s.id for s in self.stories.values() if s.status == "blocked")

    @property
    def under_way(self) -> tuple[str, ...]:
        """Ids of the stories with an open attempt, in the order in which they were first met."""
        return tuple(s.id for s in self.stories.values() if s.is_open and s.status == "open")

    @property
    def has_merged(self) -> bool:
        """Whether a merged attempt is still to be judged."""
        merged = (s.merged for s in self.stories.values() if s.is_open)
        return any(one is not None and one.commit for one in merged)

    def take(self, event: Event) -> None:
        """Note what happened."""
        step = _STEPS.get(type(event))
        if step is not None:
            step(self, event)

    def _started(self, event: RalphStarted) -> None:
        self.rules, self.start = event.rules, event.start

    def _continued(self, event: RalphContinued) -> None:
        self.rules = event.rules

    def _attempt(self, event: AttemptStarted) -> None:
        state = self[event.story]
        state.started, state.attempt = event, event.attempt
        self.iterations += 1

    def _ended(self, event: AttemptEnded) -> None:
        state = self[event.story]
        state.ended = event
        if event.result is not None:
            state.turns.append(event.result)

    def _merged(self, event: StoryMerged) -> None:
        state = self[event.story]
        state.merged, state.gates = event, {}

    def _gate(self, event: GateRun) -> None:
        self[event.story].gates[event.gate] = event

    def _judged(self, event: StoryEnded) -> None:
        self[event.story].judged(event)
        self.log.append(event)
        if event.status == "passed":
            self.told.append(event)

    def _diagnosis(self, event: DiagnosisMade) -> None:
        state = self[event.story]
        state.finding = event.finding
        self.iterations += 1
        if event.result is not None:
            state.turns.append(event.result)

    def _criterion(self, event: CriterionJudged) -> None:
        """The judgement of the attempt follows."""

    def _finished(self, event: RalphFinished) -> None:
        if event.outcome in _GRANTS_MORE:
            self.iterations = 0
            for state in self.stories.values():
                state.reopened()


_Step = Callable[[Board, Any], None]
_STEPS: Mapping[type, _Step] = MappingProxyType(
    {
        RalphStarted: Board._started,
        RalphContinued: Board._continued,
        AttemptStarted: Board._attempt,
        AttemptEnded: Board._ended,
        StoryMerged: Board._merged,
        GateRun: Board._gate,
        StoryEnded: Board._judged,
        DiagnosisMade: Board._diagnosis,
        CriterionJudged: Board._criterion,
        RalphFinished: Board._finished,
    }
)
