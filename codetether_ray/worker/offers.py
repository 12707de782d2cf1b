"""What a platform tells of a task, in any of the shapes that platforms have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codetether_ray.core.work import WorkWish
from codetether_ray.worker.routing import model_ref

_EVENTS = frozenset(
    {"message", "task", "task.created", "task.available", "task_available", "task_created"}
)
"""Types of server-sent events that tell of a task; `cancel` ends one; others are let be."""
_CANCELS = frozenset({"cancel", "task.cancelled", "task_cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A task that may be claimed."""

    id: str
    wish: WorkWish = field(default_factory=WorkWish)

    @property
    def prompt(self) -> str:
        """What to do."""
        return self.wish.prompt or self.wish.title


def offer_of(told: Any) -> Offer | None:
    """The task that an object tells of, itself or as its `task`; None: it tells of none.

    An object with an id and nothing to do is no task.
    """
    if not isinstance(told, dict):
        return None
    inner = told.get("task")
    data: dict[str, Any] = told | inner if isinstance(inner, dict) else told
    id = _text(data, "id")
    if not id or not any(_text(data, key) for key in ("prompt", "description", "title")):
        return None
    metadata = data.get("metadata")
    more = metadata if isinstance(metadata, dict) else {}
    model = _text(data, "model_ref") or _text(data, "model") or found_in(more, "model_ref", "model")
    wish = WorkWish(
        title=_text(data, "title") or "Untitled",
        prompt=_text(data, "prompt") or _text(data, "description"),
        agent_type=_text(data, "agent_type") or _text(data, "agent") or "build",
        model=model_ref(model),
        codebase=_text(data, "codebase") or _text(data, "codebase_id"),
        agent_name=_text(data, "target_agent_name")
        or found_in(more, "target_agent_name", "agent_name"),
        session_id=_text(data, "resume_session_id") or _text(more, "resume_session_id"),
        metadata=more,
    )
    return Offer(id=id, wish=wish)


def offers_of(told: Any) -> tuple[Offer, ...]:
    """The tasks of a list, or of an object's `tasks`."""
    items = told.get("tasks") if isinstance(told, dict) else told
    if not isinstance(items, list):
        return ()
    return tuple(offer for item in items if (offer := offer_of(item)) is not None)


def told_by_event(event: str, data: Any) -> tuple[Offer | None, str]:
    """What a server-sent event tells: a task, or the id of one that is to be stopped."""
    if event in _EVENTS:
        return offer_of(data), ""
    if event in _CANCELS and isinstance(data, dict):
        return None, _text(data, "task_id")
    return None, ""


def found_in(metadata: Mapping[str, Any], *names: str) -> str:
    """The first of these in a task's metadata, or in its `routing` or `swarm`, as text."""
    for place in (metadata, metadata.get("routing"), metadata.get("swarm")):
        if isinstance(place, dict):
            for name in names:
                value = place.get(name)
                if isinstance(value, (str, int, float)) and str(value):
                    return str(value)
    return ""


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
