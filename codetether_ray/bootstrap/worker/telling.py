"""A run's events as the pieces of output that a platform is sent."""

from codetether_ray.core.events import (
    ModelResponded,
    PlanMade,
    Record,
    SubtaskChanged,
    SubtaskMerged,
    ToolFinished,
    Warned,
)

_MOST = 500
"""Characters of a tool's result."""


def told_of_session(record: Record) -> tuple[str, ...]:
    """What is sent of one event of a session: its agent's words, tools as they begin and end."""
    event = record.event
    match event:
        case ModelResponded(purpose="step"):
            message = event.response.message
            calls = tuple(f"[tool:start:{call.name}]" for call in message.tool_calls)
            return ((message.text,) if message.text.strip() else ()) + calls
        case ToolFinished():
            how = "err" if event.result.is_error else "ok"
            return (f"[tool:{event.result.name}:{how}] {event.result.content[:_MOST]}",)
        case Warned():
            return (f"[warning] {event.text}",)
    return ()


def told_of_swarm(record: Record) -> tuple[str, ...]:
    """What is sent of one event of a swarm, a line each."""
    event = record.event
    match event:
        case PlanMade():
            return (f"[swarm] plan: {len(event.subtasks)} subtasks",)
        case SubtaskChanged():
            detail = f": {event.detail[:_MOST]}" if event.detail else ""
            return (f"[swarm] subtask {event.name}: {event.status}{detail}",)
        case SubtaskMerged():
            return (f"[swarm] merge of {event.name}: {event.status}",)
        case ToolFinished():
            how = "err" if event.result.is_error else "ok"
            return (f"[swarm] {record.agent} [tool:{event.result.name}:{how}]",)
        case Warned():
            return (f"[swarm] warning: {event.text}",)
    return ()
