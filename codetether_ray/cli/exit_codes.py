"""What the command line ends with, as one table."""

from types import MappingProxyType

from codetether_ray.core import errors
from codetether_ray.core.errors import CodetetherError

SUCCESS = 0
FAILED = 1
USAGE = 2
DECISION_NEEDED = 3
CREDENTIALS = 4
MAX_TIME = 124
INTERRUPTED = 130

_OUTCOMES = MappingProxyType(
    {
        "completed": SUCCESS,
        "success": SUCCESS,
        "needs_decision": DECISION_NEEDED,
        "cancelled": INTERRUPTED,
    }
)


def of_error(error: CodetetherError) -> int:
    """The exit code of an error."""
    return type(error).exit_code


def of_outcome(outcome: str, error_kind: str = "") -> int:
    """The exit code of a finished turn or swarm; anything that is not success is not 0."""
    if outcome == "failed":
        kind = getattr(errors, error_kind, None)
        if isinstance(kind, type) and issubclass(kind, CodetetherError):
            return kind.exit_code
        return FAILED
    return _OUTCOMES.get(outcome, FAILED)
