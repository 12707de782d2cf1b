"""What is worth watching and not worth keeping: only the bus carries it."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStreamed:
    """A piece of answer text."""

    tag: ClassVar[str] = "text"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningStreamed:
    """A piece of thinking."""

    tag: ClassVar[str] = "reasoning"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """A piece of a running tool's output."""

    tag: ClassVar[str] = "tool.output"
    call_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """A model call failed and is tried again in `next_in_s`."""

    tag: ClassVar[str] = "model.retrying"
    step: int
    attempt: int
    next_in_s: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """An agent waits, without a process; `reason` says for what, `next_in_s` how long if known."""

    tag: ClassVar[str] = "agent.queued"
    reason: str
    next_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something a person should know, in one sentence."""

    tag: ClassVar[str] = "warning"
    text: str


LiveEvent = TextStreamed | ReasoningStreamed | ToolOutput | Retrying | Queued | Warned
