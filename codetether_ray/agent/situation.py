"""What varies from turn to turn (date, git state, base): the last part of a user message.

It stays out of the system prompt, so that the prompt's prefix is the same bytes for ever.
"""

from dataclasses import replace

from codetether_ray.core.messages import Message, Text

_OPEN, _CLOSE = "<situation>\n", "\n</situation>"


def with_situation(message: Message, situation: str) -> Message:
    """`message` with the situation as its last part; as it is if there is none."""
    if not situation:
        return message
    return replace(message, parts=(*message.parts, Text(text=f"{_OPEN}{situation}{_CLOSE}")))


def situation_of(message: Message) -> str:
    """The situation that a message carries; empty if none."""
    last = message.parts[-1] if len(message.parts) > 1 else None
    if isinstance(last, Text) and last.text.startswith(_OPEN) and last.text.endswith(_CLOSE):
        return last.text[len(_OPEN) : -len(_CLOSE)]
    return ""


def is_same_message(asked: Message, recorded: Message) -> bool:
    """Whether `recorded` is `asked`, with or without a situation."""
    if asked.role != recorded.role:
        return False
    parts = recorded.parts[:-1] if situation_of(recorded) else recorded.parts
    return asked.parts in (parts, recorded.parts)
