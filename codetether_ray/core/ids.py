"""Names of runs, agents and calls.

A run id sorts by time; an agent's path names its place in the run's tree and is deterministic, so
that a tape or a journal finds the same agent again: `main`, `planner`, `sub/tests`,
`sub/tests/task-1`, `resolver/tests`, `synthesis`.
"""

import hashlib
import re
import secrets
import time
from typing import Literal

RunKind = Literal["session", "swarm", "ralph", "relay"]

_PREFIX: dict[RunKind, str] = {"session": "ses", "swarm": "swm", "ralph": "rlp", "relay": "rly"}
_RUN_ID = re.compile(r"[a-z]{3}_[0-9a-z]{10}_[0-9a-f]{8}")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _ALPHABET[digit] + digits
    return digits.rjust(width, "0")


def new_run_id(kind: RunKind) -> str:
    """A fresh run id: kind, milliseconds since the epoch in base 36, 32 random bits."""
    return f"{_PREFIX[kind]}_{_base36(time.time_ns() // 1_000_000, 10)}_{secrets.token_hex(4)}"


def derived_run_id(kind: RunKind, parent: str, *names: str) -> str:
    """The id of a run that another one starts: the same names give the same id.

    It sorts beside its parent's.
    """
    digest = hashlib.sha256("\0".join((parent, *names)).encode("utf-8", "replace")).hexdigest()
    return f"{_PREFIX[kind]}_{parent.split('_')[1]}_{digest[:8]}"


def is_run_id(text: str) -> bool:
    """Whether `text` has the form of a run id (so that no path can hide in it)."""
    return _RUN_ID.fullmatch(text) is not None


def run_kind(run_id: str) -> RunKind | None:
    """What kind of run an id names."""
    return next((kind for kind, prefix in _PREFIX.items() if run_id.startswith(f"{prefix}_")), None)


def made_at(run_id: str) -> float | None:
    """When a run's id was made, in seconds since the epoch; None where it has not the form."""
    return int(run_id.split("_")[1], 36) / 1000 if is_run_id(run_id) else None


def slug(text: str, limit: int = 48) -> str:
    """`text` as lower-case letters, digits and dashes; never empty."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-")
    return cleaned or "item"


def child_path(parent: str, ordinal: int) -> str:
    """The path of the `ordinal`-th (from 1) child that `parent` spawns by the `task` tool."""
    return f"{parent}/task-{ordinal}"
