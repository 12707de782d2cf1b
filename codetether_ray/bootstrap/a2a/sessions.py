"""Somebody's sessions as the API shows them, from their contexts and journals. On the truth."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from codetether_ray.bootstrap.a2a.contexts import Context, find, last_used, of_owner
from codetether_ray.bootstrap.control.owned import is_under_way
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import records_of
from codetether_ray.bootstrap.session.home import MAIN
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.events import (
    ModelFailed,
    ModelResponded,
    Record,
    RunFinished,
    RunStarted,
    ToolFinished,
    TurnStarted,
)
from codetether_ray.core.messages import (
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from codetether_ray.core.spec import AgentKind
from codetether_ray.core.usage import Usage
from codetether_ray.journal.reader import read_records

LIST, ONE = f"{__name__}:listed", f"{__name__}:one"

AGENTS: dict[str, AgentKind] = {"build": "main", "plan": "planner"}
"""What a session's agent may be, by the name that the API has for it."""
_MOST_BYTES = 8_000_000
"""Of a session's messages in one answer; the newest are told."""
_KINDS = frozenset(
    kind.tag
    for kind in (RunStarted, RunFinished, TurnStarted, ModelResponded, ModelFailed, ToolFinished)
)


def listed(home: Home, owner: str, limit: int, offset: int) -> list[JsonObject]:
    """The owner's sessions, the one that was used last first, without their messages."""
    contexts = sorted(
        of_owner(home.data_dir, owner),
        key=lambda context: (last_used(home.data_dir, context), context.session_id),
        reverse=True,
    )
    return [_summary(home, context) for context in contexts[offset : offset + limit]]


def one(home: Home, owner: str, session_id: str) -> JsonObject:
    """A session with its messages.

    Raises:
        UnknownRunError: the owner has none of that id.
        JournalError: it cannot be read.
    """
    return shape(home, find(home, owner, session_id))


def shape(home: Home, context: Context) -> JsonObject:
    """`Session`: its head, its messages, the tools that were used, tokens and cost."""
    told = _Told()
    told.take(_records(home, context))
    head = _head(home, context, told)
    return {
        **head,
        "messages": told.newest(),
        "tool_uses": told.tool_uses(),
        "usage": told.usage.to_json(),
        "cost_usd": told.cost_usd,
        "metadata": {
            "directory": context.directory,
            "model": told.model or context.model or None,
            "shared": False,
            "share_url": None,
        },
    }


_seen: OrderedDict[tuple[Path, str], tuple[int, "_Told"]] = OrderedDict()
"""What journals told when they had so many records: most have not grown since they were listed."""
_MOST_SEEN = 2_000


def _summed(home: Home, context: Context) -> "_Told":
    """What a session's journal tells, without its messages."""
    key = home.data_dir, context.session_id
    size = records_of(home.data_dir, context.session_id)
    known = _seen.pop(key, None)
    if known is None or known[0] != size:
        told = _Told(keeps=False)
        told.take(_records(home, context))
        known = size, told
    _seen[key] = known
    while len(_seen) > _MOST_SEEN:
        _seen.popitem(last=False)
    return known[1]


def _summary(home: Home, context: Context) -> JsonObject:
    told = _summed(home, context)
    head = _head(home, context, told)
    return {**head, "message_count": told.count, "directory": told.directory}


def _head(home: Home, context: Context, told: "_Told") -> JsonObject:
    names = {kind: name for name, kind in AGENTS.items()}
    return {
        "id": context.session_id,
        "context_id": context.id,
        "title": context.title or told.title or None,
        "created_at": _stamp(context.made_at),
        "updated_at": _stamp(max(last_used(home.data_dir, context), told.updated_at)),
        "agent": names.get(context.agent, context.agent),
        "state": _state(home, context, told),
        "outcome": told.outcome or None,
    }


def _state(home: Home, context: Context, told: "_Told") -> str:
    """`working` only where somebody is at it."""
    if told.state == "idle" or is_under_way(home, context.session_id):
        return told.state
    return "interrupted"


def _records(home: Home, context: Context) -> Iterable[Record]:
    try:
        yield from read_records(home.data_dir, context.session_id, kinds=_KINDS, fetch=archived())
    except UnknownRunError:  # it has had no turn yet
        return


class _Told:
    """What a journal tells of a session."""

    def __init__(self, *, keeps: bool = True) -> None:
        """`keeps`: the messages as well, not their number alone."""
        self._keeps = keeps
        self.count = 0
        self.messages: list[JsonObject] = []
        self.usage = Usage()
        self.cost_usd: float | None = 0.0
        self.title = self.model = self.directory = self.outcome = ""
        self.state = "idle"
        self.updated_at = 0.0
        self._calls: dict[str, JsonObject] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Read on."""
        for record in records:
            self.updated_at = max(self.updated_at, record.time)
            if record.agent == MAIN or isinstance(record.event, RunStarted | RunFinished):
                self._event(record)

    def _event(self, record: Record) -> None:
        match record.event:
            case RunStarted() as event:
                self.title = self.title or event.title
                self.model, self.directory = event.model, event.directory
                self.state, self.outcome = "working", ""
            case RunFinished(outcome=outcome, summary=summary):
                self.state, self.outcome = "idle", outcome
                self._add_cost(summary)
            case TurnStarted(message=message):
                self._message(message)
            case ModelResponded(purpose="step", response=response):
                self._message(response.message)
                self.usage += response.usage
            case ModelResponded(response=response):
                self.usage += response.usage
            case ModelFailed(usage=usage):
                self.usage += usage
            case ToolFinished(result=result):
                self._message(Message(role="tool", parts=(result,)))
            case _:
                pass

    def _add_cost(self, summary: JsonObject) -> None:
        cost = summary.get("cost_usd")
        known = isinstance(cost, int | float) and self.cost_usd is not None
        self.cost_usd = (
            self.cost_usd + float(str(cost)) if known and self.cost_usd is not None else None
        )

    def _message(self, message: Message) -> None:
        self.count += 1
        if not self._keeps:
            return
        content: list[JsonValue] = [_part(part) for part in message.parts]
        self.messages.append({"role": message.role, "content": content})
        for part in message.parts:
            if isinstance(part, ToolCall):
                self._calls[part.id] = {
                    "id": part.id,
                    "name": part.name,
                    "input": part.arguments,
                    "output": "",
                    "success": None,
                }
            elif isinstance(part, ToolResult) and part.call_id in self._calls:
                use = self._calls[part.call_id]
                use["output"], use["success"] = part.content, not part.is_error

    def newest(self) -> list[JsonValue]:
        """The messages, or as many of the last ones as one answer takes."""
        size, first = 0, len(self.messages)
        for number in range(len(self.messages) - 1, -1, -1):
            size += len(str(self.messages[number]))
            if size > _MOST_BYTES:
                break
            first = number
        return list(self.messages[first:])

    def tool_uses(self) -> list[JsonValue]:
        """Each call with its result, in order."""
        return list(self._calls.values())


def _part(part: Part) -> JsonObject:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Reasoning(text=text):
            return {"type": "thinking", "text": text}
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}
        case ToolResult(call_id=id, content=content, is_error=is_error):
            return {
                "type": "tool_result",
                "tool_call_id": id,
                "content": content,
                "is_error": is_error,
            }
        case Image(media_type=media_type, url=url):
            return {"type": "image", "media_type": media_type, "url": url}
        case File(name=name, media_type=media_type):
            return {"type": "file", "name": name, "media_type": media_type}


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
