"""Whether a request is the one that was recorded, and if not, where they differ."""

import difflib
from collections.abc import Iterator, Sequence

from codetether_ray.core.messages import Message, ToolCall
from codetether_ray.core.models import ModelRequest
from codetether_ray.providers.tape_format import Tape, TapeEntry


def difference(tape: Tape, entry: TapeEntry, request: ModelRequest, replayed_as: str) -> str:
    """A readable difference; empty where the request agrees with the tape.

    `replayed_as` is the model's name where it is the tape itself. A compaction's prompt is made of
    the conversation by the agent, so only its model is compared.
    """
    if request.model not in (replayed_as, entry.model, entry.model.partition("/")[2]):
        return f"the tape has answers of {entry.model}, asked is {request.model}"
    if entry.purpose == "compaction":
        return ""
    recorded = [f"tools: {', '.join(entry.tools)}"]
    asked = [f"tools: {', '.join(tool.name for tool in request.tools)}"]
    said, heard = _since_last_answer(request.messages)
    if said is not None or not entry.is_cut:
        calls = said.tool_calls if said is not None else ()
        recorded += [f"called: {tape.normalise(call)}" for call in entry.calls]
        asked += [f"called: {tape.normalise(_spelt(call))}" for call in calls]
        recorded += _told(tape, entry.heard)
        asked += _told(tape, heard)
    return "\n".join(_diff(recorded, asked))


def _since_last_answer(messages: Sequence[Message]) -> tuple[Message | None, Sequence[Message]]:
    """The last assistant message, and what came after it."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].role == "assistant":
            return messages[place], messages[place + 1 :]
    return None, messages


def _spelt(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


def _told(tape: Tape, messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        if message.role != "tool":
            yield from _lines(message.role, tape.normalise(message.text))
        for result in message.tool_results:
            kind = "error" if result.is_error else "result"
            yield from _lines(f"{kind} of {result.name}", tape.normalise(result.content))


def _lines(head: str, text: str) -> Iterator[str]:
    yield f"{head}:"
    for line in text.strip().splitlines():
        yield f"  {line.rstrip()}"


def _diff(recorded: list[str], asked: list[str]) -> list[str]:
    if recorded == asked:
        return []
    lines = difflib.unified_diff(recorded, asked, "recorded", "asked", lineterm="", n=2)
    return ["", *lines]
