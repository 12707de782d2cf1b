"""What a Ralph run came to, truthfully, and the JSON that `--json` prints.

The JSON has the keys of the reference program's state, all of them true here, and more beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from codetether_ray.core import errors
from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.events import StoryEnded
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ralph.board import Board, StoryState
from codetether_ray.ralph.prd import Prd, Story
from codetether_ray.ralph.progress import learnings

RalphOutcome = Literal[
    "completed",
    "max_iterations",
    "blocked",
    "quality_failed",
    "budget",
    "interrupted",
    "failed",
]
"""Only `completed` is success: every story has passed. `quality_failed`: nothing but gates keeps
the rest from passing. `failed`: there was nothing to work on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphResult:
    """The truth about a run that has ended."""

    run_id: str
    outcome: RalphOutcome
    prd_path: str
    directory: str = ""
    prd: Prd | None = None
    stories: tuple[JsonObject, ...] = ()
    log: tuple[JsonObject, ...] = ()
    iterations: int = 0
    max_iterations: int = 0
    error: str = ""
    error_kind: str = ""
    branch: str = ""
    """The branch that the stories landed on."""
    base: str = ""
    commit: str = ""
    diffstat: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    elapsed_s: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def is_success(self) -> bool:
        """Whether every story has passed."""
        return self.outcome == "completed"

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        if self.is_success:
            return 0
        kind = getattr(errors, self.error_kind, None) if self.error_kind else None
        if isinstance(kind, type) and issubclass(kind, errors.CodetetherError):
            return kind.exit_code or 1
        return 130 if self.outcome == "interrupted" and not self.error_kind else 1

    def to_json(self) -> JsonObject:
        """The object that `--json` prints."""
        passed = sum(story["status"] == "passed" for story in self.stories)
        return {
            "success": self.is_success,
            "outcome": self.outcome,
            "status": self.outcome,
            "result": self._text(passed),
            "run_id": self.run_id,
            "passed": passed,
            "total": len(self.stories),
            "prd": self.prd.to_json() if self.prd else None,
            "prd_path": self.prd_path,
            "working_dir": self.directory,
            "current_iteration": self.iterations,
            "max_iterations": self.max_iterations,
            "stories": list(self.stories),
            "progress_log": list(self.log),
            "error": self.error or None,
            "branch": self.branch or None,
            "base": self.base or None,
            "commit": self.commit or None,
            "diffstat": self.diffstat,
            "usage": self.usage.to_json(),
            "tokens": self.usage.total_tokens,
            "cost_usd": self.cost_usd,
            "elapsed_s": round(self.elapsed_s, 3),
            "notes": list(self.notes),
            "exit_code": self.exit_code,
        }

    def _text(self, passed: int) -> str:
        where = f" on {self.branch}" if self.branch and passed else ""
        return f"{passed} of {len(self.stories)} stories passed{where} ({self.outcome})"


def story_rows(prd: Prd, board: Board) -> tuple[JsonObject, ...]:
    """How each story stands, in the PRD's order."""
    return tuple(_row(story, board[story.id]) for story in prd.stories)


def _row(story: Story, state: StoryState) -> JsonObject:
    verdict = state.verdict
    passed = story.passes or state.status == "passed"
    status = "passed" if passed else state.status
    shown = verdict if verdict is not None and not (story.passes and not verdict.commit) else None
    is_passed_here = state.status == "passed"
    return {
        "id": story.id,
        "title": story.title,
        "status": status,
        "attempts": state.attempt,
        "cause": "" if passed or verdict is None else verdict.cause,
        "detail": "" if passed or verdict is None else verdict.detail,
        "commit": verdict.commit if is_passed_here and verdict else None,
        "branch": verdict.branch or None if verdict and not passed else None,
        "files": list(shown.files) if shown else [],
        **_spent(state.turns),
    }


def _spent(turns: Sequence[TurnResult]) -> JsonObject:
    unknown = any(t.cost_usd is None and t.usage.total_tokens for t in turns)
    return {
        "steps": sum(t.steps for t in turns),
        "tool_calls": sum(t.tool_calls for t in turns),
        "tokens": sum(t.usage.total_tokens for t in turns),
        "cost_usd": None if unknown else sum(t.cost_usd or 0.0 for t in turns),
    }


def log_rows(board: Board) -> tuple[JsonObject, ...]:
    """The judgements, as the reference's `progress_log` has them."""
    return tuple(_log_row(n, event) for n, event in enumerate(board.log, 1))


def _log_row(number: int, event: StoryEnded) -> JsonObject:
    files: list[JsonValue] = list(event.files)
    return {
        "story_id": event.story,
        "iteration": number,
        "status": "completed" if event.status == "passed" else event.status,
        "cause": event.cause,
        "learnings": list(learnings(event.detail)) if event.status == "passed" else [],
        "files_changed": files,
        "detail": event.detail,
    }


def outcome_of(prd: Prd, board: Board, *, has_more: bool) -> RalphOutcome:
    """What a run comes to that was not cut short; `has_more`: a story could still be tried."""
    left = [story.id for story in prd.stories if not story.passes and story.id not in board.passed]
    if not left:
        return "completed"
    if has_more:
        return "max_iterations"
    verdicts = (board[id].verdict for id in left)
    causes = {verdict.cause for verdict in verdicts if verdict} - {"depends"}
    return "quality_failed" if causes and causes <= {"gates", "measures"} else "blocked"
