"""The id of the task that a message begins: a message that is sent again begins the same one.

The id is made of the sender and the message, so every replica makes the same one, and the store
says whether the task is there already; nothing has to be remembered beside the task itself.

Who has told a task more, or cancelled it, has had its answer: the same message is then a new one
of a client that uses its ids again, as the public compatibility kits do.
"""

import hashlib
import uuid
from collections.abc import Iterator

from a2a.types import Message, Task, TaskState

_FORMAT = b"codetether a2a 1"
_USES = 20
"""Of one id for one message; then nothing is taken for sent again."""


def new_task_ids(message: Message, owner: str) -> Iterator[str]:
    """Ids for the task of a message without `taskId`: the first that is not an older one's."""
    for use in range(_USES):
        yield _task_id(message, owner, use)
    while True:
        yield str(uuid.uuid4())


def has_gone_on(task: Task, message: Message) -> bool:
    """Whether the task that a message began was told more, or cancelled."""
    if task.status.state == TaskState.TASK_STATE_CANCELED:
        return True
    said = (one.message_id for one in reversed(task.history) if one.role == message.role)
    return next(said, "") != message.message_id


def _task_id(message: Message, owner: str, use: int) -> str:
    """The same for the same message of the same sender.

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
    told = said.SerializeToString(deterministic=True)
    for part in (owner.encode(), told, str(use).encode()):
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
