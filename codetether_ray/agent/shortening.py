"""What a conversation is after a recorded compaction. Which one to make: `compaction`."""

from dataclasses import replace

from codetether_ray.agent import tokens
from codetether_ray.agent.conversation import Conversation, changed
from codetether_ray.core.events import Compacted
from codetether_ray.core.messages import Message, Part, Text, ToolResult

_NOTE = "[removed to save room: an old result of {size} characters; call again if you need it]"
_SUMMARY = (
    "<summary>\nThe conversation before this point was shortened. What happened in it:\n\n"
    "{text}\n</summary>"
)


def shortened(conversation: Conversation, event: Compacted) -> Conversation:
    """The conversation with old results noted only, or with a summary in place of its head."""
    if event.stage == "results":
        cleared = frozenset(event.call_ids)
        messages = tuple(_cleared(message, cleared) for message in conversation.messages)
        after = changed(conversation, cleared=conversation.cleared | cleared)
    else:
        kept = conversation.messages[event.keep_from :]
        messages = (head(conversation, event.summary, event.keep_from), *kept)
        after = changed(conversation, summary=None)
    return changed(after, messages=messages, message_tokens=tokens.of_messages(messages))


def head(conversation: Conversation, summary: str, keep_from: int) -> Message:
    """The first message after a summary: task, summary, and this turn's message if it fell out.

    Task and message are verbatim; one user message, so that roles go on alternating.
    """
    task, turn = conversation.task, conversation.turn
    parts: list[Part] = list(task.parts) if task is not None else []
    parts.append(Text(text=_SUMMARY.format(text=summary.strip())))
    if turn is not None and turn.message is not task:
        kept = conversation.messages[keep_from:]
        if not any(message is turn.message or message == turn.message for message in kept):
            parts += turn.message.parts
    return Message(role="user", parts=tuple(parts))


def _cleared(message: Message, call_ids: frozenset[str]) -> Message:
    if message.role != "tool" or not any(r.call_id in call_ids for r in message.tool_results):
        return message
    return replace(
        message,
        parts=tuple(_noted(r) if r.call_id in call_ids else r for r in message.tool_results),
    )


def _noted(result: ToolResult) -> ToolResult:
    return replace(result, content=_NOTE.format(size=len(result.content)))
