"""The id of the task that a message begins: a message that is sent again begins the same one.

The id is made of the sender and the message, so every replica makes the same one, and the store
says whether the task is there already; nothing has to be remembered beside the task itself.
"""

import hashlib
import uuid

from a2a.types import Message

_FORMAT = b"codetether a2a 1"


def new_task_id(message: Message, owner: str) -> str:
    """The task of a message without `taskId`.

    What the client may say otherwise when it sends again counts nothing: the message's metadata.
    One that says something else under an old `messageId` is another message.
    """
    said = Message(
        message_id=message.message_id,
        context_id=message.context_id,
        role=message.role,
        parts=message.parts,
    )
    digest = hashlib.sha256(_FORMAT)
    for part in (owner.encode(), said.SerializeToString(deterministic=True)):
        digest.update(len(part).to_bytes(8, "big") + part)
    return _uuid(digest.digest())


def new_context_id(task_id: str) -> str:
    """The context of such a task where its message names none."""
    return _uuid(hashlib.sha256(f"context of {task_id}".encode()).digest())


def _uuid(digest: bytes) -> str:
    """A UUID of version 8 (RFC 9562: what its bits mean is its maker's)."""
    bits = int.from_bytes(digest[:16], "big")
    bits = bits & ~(0xF << 76) | (8 << 76)
    bits = bits & ~(0b11 << 62) | (0b10 << 62)
    return str(uuid.UUID(int=bits))
