"""How many tokens a text may come to: four characters each, before calibration."""

from collections.abc import Iterable

from codetether_ray.core.messages import File, Image, Message, Part, Reasoning, ToolCall, ToolResult
from codetether_ray.core.models import ToolSchema

CHARS_PER_TOKEN = 4
_IMAGE = 1_500  # tokens; vendors count 85 to 1,600 for one picture
_FRAME = 4  # tokens around a message, a call or a result


def of_text(text: str) -> int:
    """Tokens of a text."""
    return len(text) // CHARS_PER_TOKEN + 1


def of_message(message: Message) -> int:
    """Tokens of a message with all its parts."""
    return _FRAME + sum(map(_of_part, message.parts))


def of_messages(messages: Iterable[Message]) -> int:
    """Tokens of several messages."""
    return sum(of_message(message) for message in messages)


def of_prefix(system: str, tools: Iterable[ToolSchema]) -> int:
    """Tokens of a system prompt and tool schemas."""
    return of_text(system) + sum(of_text(tool.json_text) for tool in tools)


def _of_part(part: Part) -> int:
    if isinstance(part, ToolResult):
        return _FRAME + of_text(part.content)
    if isinstance(part, ToolCall):
        return _FRAME + of_text(part.name) + of_text(part.arguments)
    if isinstance(part, Image):
        return _IMAGE
    if isinstance(part, File):
        return of_text(part.content or "") + of_text(part.data or "")
    if isinstance(part, Reasoning):
        return of_text(part.opaque or part.text)
    return of_text(part.text)
