"""What a script tells the model server to answer, faults included."""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from codetether_ray.core.usage import Usage

FaultKind = Literal[
    "status", "error_body", "error_event", "stall", "truncate", "unterminated", "drop"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A call that the model makes. `arguments` are sent as JSON; a string is sent as it is."""

    name: str
    arguments: Any = field(default_factory=dict)
    id: str = ""
    """Empty: the server makes one that is the same for the same request."""

    @property
    def json(self) -> str:
        """The arguments as the model would write them."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How an answer goes wrong.

    `status`: an HTTP error. `error_body`: status 200 whose body is an error. `error_event`: an
    error in the middle of the stream. `stall`: silence until the client leaves. `truncate`: the
    stream ends inside the JSON of an event. `unterminated`: it ends, cleanly, without its
    terminator. `drop`: the connection is cut. The last five happen after `after` events.
    """

    kind: FaultKind
    status: int = 500
    message: str = "injected fault"
    error_type: str = "overloaded_error"
    headers: tuple[tuple[str, str], ...] = ()
    after: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer: reasoning, then text, then calls, streamed in pieces.

    `delay_s` is waited before the first byte, `piece_delay_s` before each further event.
    `piece` is how many characters an event carries; `frame_bytes` cuts the byte stream into
    writes of that size wherever they fall (0: one write per event).
    """

    text: str = ""
    reasoning: str = ""
    signature: str = "c2lnbmF0dXJl"
    calls: tuple[ToolUse, ...] = ()
    usage: Usage | None = None
    """None: estimated at four bytes per token."""
    finish: str = ""
    """The wire format's own word for why it ended; empty for the fitting one."""
    delay_s: float = 0.0
    piece_delay_s: float = 0.0
    piece: int = 40
    frame_bytes: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    fault: Fault | None = None


def say(text: str, **more: Any) -> Reply:
    """An answer in text."""
    return Reply(text=text, **more)


def call(name: str, /, **arguments: Any) -> Reply:
    """An answer that calls one tool."""
    return Reply(calls=(ToolUse(name=name, arguments=arguments),))


def calls(*uses: tuple[str, dict[str, Any]], text: str = "", **more: Any) -> Reply:
    """An answer that calls several tools: `calls(("read_file", {"path": "a"}), …)`."""
    made = tuple(ToolUse(name=name, arguments=arguments) for name, arguments in uses)
    return Reply(text=text, calls=made, **more)


def fail(
    status: int,
    message: str = "injected fault",
    *,
    retry_after_s: float | None = None,
    error_type: str = "api_error",
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """An HTTP error."""
    if retry_after_s is not None:
        headers = (*headers, ("Retry-After", f"{retry_after_s:g}"))
    fault = Fault(
        kind="status", status=status, message=message, error_type=error_type, headers=headers
    )
    return Reply(fault=fault)


def spoil(reply: Reply, kind: FaultKind, *, after: int = 1, **more: Any) -> Reply:
    """`reply`, going wrong in the given way."""
    return replace(reply, fault=Fault(kind=kind, after=after, **more))
