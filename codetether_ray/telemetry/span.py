"""One span of a run: finished, still open, and those that are open of an agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codetether_ray.core.usage import Usage

Value = str | int | float | bool | tuple[str, ...]
"""Of an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One finished span. Times are in seconds since the epoch; `error` is its `error.type`."""

    trace_id: int
    span_id: int
    parent_id: int
    """0 where it has none."""
    name: str
    start: float
    end: float
    is_client: bool = False
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str = ""


@dataclass(slots=True)
class Open:
    """A span that has begun."""

    id: int
    parent: int
    name: str
    start: float
    attributes: dict[str, Value]
    is_client: bool = False


@dataclass(slots=True)
class Traced:
    """What is open of one agent, and what its spans say of it."""

    path: str
    name: str = ""
    model: str = ""
    turn: Open | None = None
    model_call: Open | None = None
    tools: dict[str, Open] = field(default_factory=dict)
    place: dict[str, Value] = field(default_factory=dict)


def note_spent(attributes: dict[str, Value], usage: Usage, cost_usd: float | None) -> None:
    """Say in a span's attributes what a model took."""
    attributes["gen_ai.usage.input_tokens"] = usage.prompt_tokens
    attributes["gen_ai.usage.output_tokens"] = usage.completion_tokens
    parts = {
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    attributes.update({name: count for name, count in parts.items() if count})
    if cost_usd is not None:
        attributes["codetether.cost_usd"] = cost_usd
