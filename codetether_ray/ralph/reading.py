"""What an attempt's turn came to: a question about what its agent said and left."""

from collections.abc import Sequence

from codetether_ray.core.ralph_events import AttemptStatus
from codetether_ray.core.spec import TurnResult
from codetether_ray.ralph.markers import read_marker

_WORDS = {
    "max_steps": "its agent used up its steps",
    "stuck": "its agent repeated itself without progress",
    "timeout": "its agent's time was over",
    "needs_decision": "its agent needed a decision that nobody could take",
}
_NOTHING_SAID = "its agent did not end with STORY_COMPLETE, and there are no gates to judge by"
_NO_CHANGE = "it changed no file"


def read_turn(
    turn: TurnResult, story_id: str, files: Sequence[str], *, has_gates: bool
) -> tuple[AttemptStatus, str]:
    """The status, and why it is not `done`. `files` are those that the agent changed."""
    if turn.outcome == "cancelled":
        return "blocked", "its agent was cancelled"
    if not turn.is_success:
        return "failed", turn.error or _WORDS.get(turn.outcome, f"it ended: {turn.outcome}")
    marker = read_marker(turn.text, story_id)
    if marker.kind == "blocked":
        return "blocked", marker.reason
    if marker.kind == "wrong":
        return "amends", marker.reason
    if not files:
        return "failed", _NO_CHANGE
    if marker.kind == "none" and not has_gates:
        return "failed", _NOTHING_SAID
    return "done", ""
