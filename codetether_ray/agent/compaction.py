"""Which compaction a conversation needs, and what a summariser is told.

First old tool results become notes; where that is not enough, a model sums up everything but the
latest messages. Role and instructions (the system prompt), the task and this turn's message stay
verbatim; see `shortening` for what is made of the list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codetether_ray.agent import tokens
from codetether_ray.agent.conversation import Conversation
from codetether_ray.core.messages import Message, Reasoning, Role, Text, ToolCall, ToolResult

_RECENT = 4  # the latest quarter of the room is never touched
_WORTH_CLEARING = 400  # characters; a shorter result is about as long as its note
_WORTH_IT = 10  # clearing must free a tenth of the room, or it only spoils the prompt cache
_CUT = 1_500  # characters of one part that a summariser sees

SUMMARY_SYSTEM = (
    "You keep the notes of a coding agent whose conversation has become too long. You read a "
    "transcript and write what the agent must know to go on without it. You do not continue "
    "the work and you call no tools."
)
_SUMMARY_REQUEST = """\
The agent's task (it will still have this text; do not repeat it):
<task>
{task}
</task>

The transcript to sum up:
<transcript>
{transcript}
</transcript>

Write the notes, at most 600 words, under these headings:
Done: what was changed, with exact file paths and names.
Findings: facts, decisions and their reasons, exact error messages that still matter.
Tests: what was run last and how it ended.
Constraints: what the user asked for or forbade along the way, in the user's words.
Next: what remains, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """Replace the results of these calls by notes."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarise:
    """Have the messages before `keep_from` summed up."""

    keep_from: int


def plan(
    conversation: Conversation, room: int, *, is_overflowing: bool = False
) -> Clear | Summarise | None:
    """What to do before the next model call, whose prompt may have `room` tokens.

    `is_overflowing`: the provider said that the prompt is too long, whatever was estimated.
    None also where nothing is left to shorten.
    """
    if is_overflowing:
        smaller = min(room, conversation.prompt_tokens) // 2
        return _summarise(conversation, _recent_from(conversation, smaller))
    if conversation.prompt_tokens <= room:
        return None
    recent = min(_recent_from(conversation, room), _last(conversation, "assistant"))
    return _clear(conversation, room) or _summarise(conversation, recent)


def summary_request(conversation: Conversation, keep_from: int, room: int) -> str:
    """What the summariser is asked; it fits in `room` tokens."""
    task = conversation.task
    limit = max(int(room / conversation.calibration) * tokens.CHARS_PER_TOKEN // 2, 2_000)
    transcript = _fitted(list(_lines(conversation.messages[:keep_from])), limit)
    return _SUMMARY_REQUEST.format(
        task=_cut(task.text, limit // 4) if task is not None else "", transcript=transcript
    )


def bare_summary(conversation: Conversation, keep_from: int) -> str:
    """What stands in for a summary that no model could write: the calls that were made."""
    calls = [
        f"- {call.name} {_cut(call.arguments, 160)}"
        for message in conversation.messages[:keep_from]
        for call in message.tool_calls
    ]
    listed = "\n".join(calls[-60:]) or "- none"
    return f"(No summary could be written.) The latest calls that were made:\n{listed}"


def _recent_from(conversation: Conversation, room: int) -> int:
    """The index from which messages fit in the part of the room that is never touched."""
    left = int(room // _RECENT / conversation.calibration)
    start = len(conversation.messages)
    for message in reversed(conversation.messages):
        left -= tokens.of_message(message)
        if left < 0:
            break
        start -= 1
    return start


def _last(conversation: Conversation, role: Role) -> int:
    """The index of the last message of a role; 0 if there is none."""
    return max((n for n, m in enumerate(conversation.messages) if m.role == role), default=0)


def _clear(conversation: Conversation, room: int) -> Clear | None:
    last = _last(conversation, "tool")  # the model has not read these results yet
    old = [
        result
        for message in conversation.messages[: min(_recent_from(conversation, room), last)]
        for result in message.tool_results
        if len(result.content) > _WORTH_CLEARING and result.call_id not in conversation.cleared
    ]
    freed = sum(tokens.of_text(result.content) for result in old) * conversation.calibration
    if freed < room / _WORTH_IT:
        return None
    return Clear(call_ids=tuple(result.call_id for result in old))


def _summarise(conversation: Conversation, start: int) -> Summarise | None:
    messages = conversation.messages
    while start < len(messages) and messages[start].role != "assistant":
        start += 1  # calls stay with their results, and after the summary the model has spoken
    return Summarise(keep_from=start) if start > 1 else None


def _lines(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                yield f"[call {part.name}] {_cut(part.arguments, _CUT)}"
            elif isinstance(part, ToolResult):
                kind = "error" if part.is_error else "result"
                yield f"[{kind} of {part.name}] {_cut(part.content, _CUT)}"
            elif isinstance(part, Text):
                yield f"[{message.role}] {_cut(part.text, 2 * _CUT)}"
            elif not isinstance(part, Reasoning):
                yield f"[{message.role} sent a {part.tag}]"


def _fitted(lines: list[str], limit: int) -> str:
    """The lines, without some after the first quarter if they are too long together."""
    total = sum(len(line) + 1 for line in lines)
    if total <= limit:
        return "\n".join(lines)
    front: list[str] = []
    used = 0
    while lines and used + len(lines[0]) + 1 <= limit // 4:
        front.append(lines.pop(0))
        used += len(front[-1]) + 1
    back: list[str] = []
    while lines and used + len(lines[-1]) + 1 <= limit:
        back.append(lines.pop())
        used += len(back[-1]) + 1
    return "\n".join([*front, f"[{len(lines)} parts left out]", *reversed(back)])


def _cut(text: str, limit: int) -> str:
    """`text` without its middle, if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half} characters…] {text[-half:]}"
