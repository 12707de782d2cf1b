"""What of a task's messages is kept where they are too many, or too large together."""

from collections.abc import MutableSequence

from a2a.types import Message, Part


def trim(history: MutableSequence[Message], most: int, room: int) -> int:
    """Have at most `most` messages with `room` bytes together; the bytes that they have now.

    The oldest go first. The newest stays: where it alone is too large, a sentence stands for its
    parts, under its own id, so that it is known when it is sent again.
    """
    if len(history) > most:
        del history[: len(history) - most]
    sizes = [message.ByteSize() for message in history]
    kept: int = sum(sizes)
    gone = 0
    while kept > room and gone < len(sizes) - 1:
        kept -= sizes[gone]
        gone += 1
    del history[:gone]
    if kept > room and history:
        _leave_out(history[0], kept)
        kept = history[0].ByteSize()
    return kept


def _leave_out(message: Message, size: int) -> None:
    note = Part(text=f"[{size} bytes are left out here: the task is too large to be told whole]")
    if len(message.parts) == 1 and size <= 1_000:
        return  # it is no more than the sentence would be
    del message.parts[:]
    message.parts.append(note)
    message.ClearField("metadata")
