"""Short texts of a run's page: titles, lines of a plan, what a call's arguments say."""

import json

from codetether_ray.core.codec import JsonObject

_TITLE = 160
_SHOWN_ARGUMENTS = ("command", "path", "pattern", "description", "key", "query")


def subtask_line(subtask: JsonObject) -> str:
    """A subtask as a plan lists it."""
    needs = subtask.get("dependencies")
    after = f" (after {', '.join(map(str, needs))})" if isinstance(needs, list) and needs else ""
    return f"{subtask.get('name')}{after}: {subtask.get('instruction')}"


def telling(arguments: str) -> str:
    """The argument that says most."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(given, dict):
        return arguments
    return str(next((given[name] for name in _SHOWN_ARGUMENTS if name in given), ""))


def pretty(arguments: str) -> str:
    """Arguments with a line for each."""
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except ValueError:
        return arguments


def one_line(text: str) -> str:
    """A title: one line, cut."""
    flat = " ".join(text[: 4 * _TITLE].split())
    return flat if len(flat) <= _TITLE else flat[: _TITLE - 1] + "…"
