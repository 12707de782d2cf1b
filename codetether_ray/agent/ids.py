"""Call ids that are unique in a conversation, whatever a model makes up."""

from dataclasses import replace

from codetether_ray.core.messages import Message, Part, ToolCall


def with_unique_ids(message: Message, used: set[str], step: int) -> Message:
    """`message` with every call's id new to `used`, to which they are added.

    Some servers count calls from 0 in each answer, or leave ids out; such an id gets the step and
    its place added.
    """
    parts: list[Part] = []
    changed = False
    for place, part in enumerate(message.parts):
        if isinstance(part, ToolCall):
            if not part.id or part.id in used:
                part = replace(part, id=f"{part.id or 'call'}-{step}-{place}")
                changed = True
            used.add(part.id)
        parts.append(part)
    return replace(message, parts=tuple(parts)) if changed else message
