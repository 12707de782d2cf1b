"""What people, models and tools say to each other, in no vendor's spelling."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

Role = Literal["user", "assistant", "tool"]  # the system prompt is not a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Plain text."""

    tag: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """A model's thinking.

    `opaque` is the provider's own block as JSON text, signature included; it is sent back byte for
    byte, and only to the provider and model named in `origin` (`provider/model`).
    """

    tag: ClassVar[str] = "reasoning"
    text: str
    opaque: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model asks for a tool. `arguments` is JSON text exactly as the model wrote it."""

    tag: ClassVar[str] = "tool_call"
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The answer to the call `call_id`: text for the model to read."""

    tag: ClassVar[str] = "tool_result"
    call_id: str
    name: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture: base64 `data` with its `media_type`, or a `url`."""

    tag: ClassVar[str] = "image"
    media_type: str
    data: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A named file: text `content`, or base64 `data` where it is not text."""

    tag: ClassVar[str] = "file"
    name: str
    media_type: str = "text/plain"
    content: str | None = None
    data: str | None = None


Part = Text | Reasoning | ToolCall | ToolResult | Image | File


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: a role and its parts. A `tool` message holds only tool results."""

    role: Role
    parts: tuple[Part, ...] = field(default=())

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(p.text for p in self.parts if isinstance(p, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that an assistant message makes, in order."""
        return tuple(p for p in self.parts if isinstance(p, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The results that a tool message carries, in order."""
        return tuple(p for p in self.parts if isinstance(p, ToolResult))


def user(text: str) -> Message:
    """A user message of one text."""
    return Message(role="user", parts=(Text(text=text),))


def assistant(text: str = "", *calls: ToolCall) -> Message:
    """An assistant message of a text (left out when empty) and calls."""
    texts: tuple[Part, ...] = (Text(text=text),) if text else ()
    return Message(role="assistant", parts=(*texts, *calls))


def tool_results(*results: ToolResult) -> Message:
    """A tool message."""
    return Message(role="tool", parts=results)
