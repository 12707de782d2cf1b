"""Retrying, against a provider that does as it is told."""

from collections.abc import AsyncGenerator

import pytest

from codetether_ray.core.errors import ConnectionLostError, ModelUnavailableError
from codetether_ray.core.messages import assistant
from codetether_ray.core.models import (
    Finished,
    ModelInfo,
    ModelRequest,
    ModelResponse,
    RetryScheduled,
    StreamEvent,
    TextDelta,
)
from codetether_ray.providers.retry import Retrying
from codetether_ray.testing.clock import FakeClock
from tests.adapters.providers.asking import EagerClock, request


class Moody:
    """Fails as often as there are errors, then answers."""

    name = "moody"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        try:
            yield TextDelta(text="half")
            if self.errors:
                raise self.errors.pop(0)
            answer = assistant("half and half")
            yield Finished(response=ModelResponse(message=answer, finish_reason="stop"))
        finally:
            self.closed += 1

    def info(self, model: str) -> ModelInfo | None:
        return None

    async def aclose(self) -> None:
        self.closed += 100


async def test_a_countdown_can_be_shown_since_the_retry_is_told_before_the_wait() -> None:
    clock = FakeClock()
    provider = Retrying(Moody(ConnectionLostError("moody", "gone")), clock=clock, chance=lambda: 1)
    events = provider.stream(request())
    assert isinstance(await anext(events), TextDelta)
    told = await anext(events)
    assert told == RetryScheduled(attempt=1, delay_s=1.0, reason="gone")
    assert clock.sleepers == 0
    await events.aclose()


async def test_jitter_spreads_the_waits_over_the_whole_bound() -> None:
    for chance in (0.0, 0.5, 1.0):
        clock = EagerClock()
        errors = [ConnectionLostError("moody", "gone") for _ in range(7)]
        provider = Retrying(Moody(*errors), clock=clock, chance=lambda c=chance: c)  # type: ignore[misc]
        assert [e async for e in provider.stream(request())]
        assert clock.slept == [chance * bound for bound in (1, 2, 4, 8, 16, 30, 30)]


async def test_the_inner_stream_is_closed_before_the_next_try_and_when_the_caller_leaves() -> None:
    moody = Moody(ConnectionLostError("moody", "gone"))
    provider = Retrying(moody, clock=EagerClock())
    events = provider.stream(request())
    await anext(events)
    await anext(events)
    assert moody.closed == 1
    await anext(events)
    await events.aclose()
    assert moody.closed == 2


async def test_with_no_time_for_retries_the_first_error_is_the_last() -> None:
    error = ModelUnavailableError("moody", "busy", 503)
    provider = Retrying(Moody(error), clock=EagerClock(), retry_for_s=0, chance=lambda: 0.5)
    with pytest.raises(ModelUnavailableError) as seen:
        assert [e async for e in provider.stream(request())]
    assert seen.value is error
