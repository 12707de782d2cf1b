"""An agent's own list, rebuilt from the calls that wrote it."""

import json
from typing import Any

from codetether_ray.core.messages import ToolCall, ToolResult
from codetether_ray.ports.tool import Todo


def todos_after(todos: tuple[Todo, ...], call: ToolCall, result: ToolResult) -> tuple[Todo, ...]:
    """The list after a finished call: `todo_write` (alone or in a `batch`) replaces it."""
    if result.is_error or call.name not in ("todo_write", "batch"):
        return todos
    try:
        given = json.loads(call.arguments)
    except ValueError:
        return todos
    for arguments in _writes(call.name, given):
        items = arguments.get("todos")
        if isinstance(items, list):
            todos = tuple(_todo(n, item) for n, item in enumerate(items, 1) if _is_todo(item))
    return todos


def _writes(name: str, given: Any) -> list[dict[str, Any]]:
    """The arguments of each `todo_write` in a call."""
    if not isinstance(given, dict):
        return []
    if name == "todo_write":
        return [given]
    calls = given.get("calls")
    found = []
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict) and call.get("tool", call.get("name")) == "todo_write":
            arguments = call.get("arguments", call.get("args"))
            if isinstance(arguments, dict):
                found.append(arguments)
    return found


def _is_todo(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("content"), str)


def _todo(ordinal: int, item: dict[str, Any]) -> Todo:
    return Todo(
        id=str(item.get("id") or ordinal),
        content=item["content"],
        status=str(item.get("status") or "pending"),
        priority=str(item.get("priority") or "medium"),
    )
