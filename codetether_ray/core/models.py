"""What is asked of a model and what it answers."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.jsontext import object_text
from codetether_ray.core.messages import Message
from codetether_ray.core.usage import Price, Usage

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """`provider/model`, split at the first slash."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, kw_only=True)
class ToolSchema:
    """A tool as the model sees it. `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: JsonObject

    @cached_property
    def json_text(self) -> str:
        """Its JSON text, made once: it stands in the journal of every agent."""
        return object_text(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its JSON text, in hexadecimal."""
        return hashlib.sha256(self.json_text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call. `system` and `tools` form the stable prefix; `agent` and `step` key a tape."""

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    max_tokens: int = 8192
    temperature: float | None = None
    agent: str = "main"
    step: int = 0
    output_schema: JsonObject | None = None
    traceparent: str = ""
    """The call's span, for the provider (W3C Trace Context); empty where it is not to know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse:
    """A finished answer: message verbatim, why it stopped, what it used."""

    message: Message
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    response_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known of a model. Sizes in tokens."""

    id: str
    provider: str
    context_window: int
    max_output_tokens: int
    supports_vision: bool = False
    supports_reasoning: bool = False
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer's text."""

    tag: ClassVar[str] = "text_delta"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """A piece of the model's thinking."""

    tag: ClassVar[str] = "reasoning_delta"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call: `index` tells calls of one answer apart."""

    tag: ClassVar[str] = "tool_call_delta"
    index: int
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled:
    """The call failed and will be made again in `delay_s`; what was streamed of it is void."""

    tag: ClassVar[str] = "retry_scheduled"
    attempt: int
    delay_s: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The stream's last event: the whole response."""

    tag: ClassVar[str] = "finished"
    response: ModelResponse


StreamEvent = TextDelta | ReasoningDelta | ToolCallDelta | RetryScheduled | Finished
