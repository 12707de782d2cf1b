"""What the merge commits of a swarm say of themselves, so that a merge is known again."""

import json

from codetether_ray.swarm.plan import Subtask

_RESOLVED = "Codetether-Resolved: "


def merge_message(subtask: Subtask, swarm_id: str) -> str:
    """The message with which a subtask's work is merged."""
    return (
        f"Merge {' '.join(subtask.name.split())}\n\n"
        f"Codetether-Run: {swarm_id}\nCodetether-Subtask: {subtask.id}\n"
    )


def resolved_message(message: str, conflicts: tuple[str, ...]) -> str:
    """The same for a merge whose conflicts in some files were resolved."""
    return f"{message}{_RESOLVED}{json.dumps(conflicts, ensure_ascii=False)}\n"


def resolved_in(message: str) -> tuple[str, ...]:
    """The files whose conflicts were resolved in the merge with that message."""
    for line in message.splitlines():
        if line.startswith(_RESOLVED):
            try:
                return tuple(str(path) for path in json.loads(line.removeprefix(_RESOLVED)))
            except (ValueError, TypeError):
                return ()
    return ()
