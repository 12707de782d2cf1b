"""How the provider tests ask, and the clock that they ask under."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from codetether_ray.core.messages import user
from codetether_ray.core.models import (
    Finished,
    ModelRequest,
    ModelResponse,
    RetryScheduled,
    StreamEvent,
    ToolSchema,
)
from codetether_ray.ports.provider import Provider

KEY = "sk-test-0123456789"
READ = ToolSchema(
    name="read_file",
    description="Read a file.",
    parameters={"type": "object", "properties": {"path": {"type": "string"}}},
)
WIRES = ("local", "anthropic")
Connect = Callable[..., Provider]


class EagerClock:
    """A clock whose sleepers wake at once, at the hour they asked for; `slept` keeps how long."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def request(*messages: Any, **changes: Any) -> ModelRequest:
    """A small request."""
    base = ModelRequest(
        model="m", system="You are terse.", messages=messages or (user("hi"),), tools=(READ,)
    )
    return replace(base, **changes)


async def events_of(provider: Provider, asked: ModelRequest) -> list[StreamEvent]:
    """All events of one call."""
    return [event async for event in provider.stream(asked)]


async def response_of(provider: Provider, asked: ModelRequest) -> ModelResponse:
    """The response of one call."""
    last = (await events_of(provider, asked))[-1]
    assert isinstance(last, Finished)
    return last.response


def retries(events: list[StreamEvent]) -> list[RetryScheduled]:
    """The retries among events."""
    return [event for event in events if isinstance(event, RetryScheduled)]
