"""Asks again where that may help, for as long as the user allows, and says so each time."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from codetether_ray.core.errors import (
    MalformedResponseError,
    ModelError,
    ModelUnavailableError,
    QuotaSpentError,
)
from codetether_ray.core.models import (
    Finished,
    ModelInfo,
    ModelRequest,
    RetryScheduled,
    StreamEvent,
)
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.provider import Provider

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_MOST_MALFORMED = 4  # such an answer was paid for; a server that always sends it won't be mended


@dataclass(slots=True)
class _Attempts:
    """How one request has fared."""

    started: float
    made: int = 0
    malformed: int = 0


class Retrying:
    """A provider whose calls are repeated after 429, 5xx, lost connections and broken streams.

    A try that failed is told as `RetryScheduled`; what was streamed of it is void. Waits are what
    the provider asks for, plus a little at random; without a word from it, full jitter under an
    exponential bound. All tries of one request end within `retry_for_s` (the last may run over
    it). Nothing is waited for that ends later: such a wait raises at once, as `QuotaSpentError`
    where `wait_quota_s` covers it, so that the agent can park.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        clock: Clock,
        retry_for_s: float = 300.0,
        wait_quota_s: float = 0.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = inner.name
        self._inner = inner
        self._clock = clock
        self._retry_for_s = retry_for_s
        self._wait_quota_s = wait_quota_s
        self._chance = chance

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Ask until there is an answer, or no hope of one."""
        attempts = _Attempts(started=self._clock.monotonic())
        while True:
            try:
                async with aclosing(self._inner.stream(request)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, Finished):
                            return
                raise MalformedResponseError(self.name, "the answer never finished")
            except ModelError as error:
                retry = self._next_try(error, attempts)
            yield retry
            await self._clock.sleep(retry.delay_s)

    def info(self, model: str) -> ModelInfo | None:
        """What the inner provider knows."""
        return self._inner.info(model)

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()

    def _next_try(self, error: ModelError, attempts: _Attempts) -> RetryScheduled:
        """When to try again; raises where that is no use."""
        if not error.is_retryable:
            raise error
        attempts.made += 1
        attempts.malformed += isinstance(error, MalformedResponseError)
        if attempts.malformed >= _MOST_MALFORMED:
            raise _given_up(error, attempts, self._clock) from error
        asked = error.retry_after_s if isinstance(error, ModelUnavailableError) else None
        delay = self._delay(asked, attempts.made)
        elapsed = self._clock.monotonic() - attempts.started
        if elapsed + (delay if asked is None else asked) > self._retry_for_s:
            if asked is not None and asked <= self._wait_quota_s:
                raise QuotaSpentError(self.name, error.detail, asked) from error
            raise _given_up(error, attempts, self._clock) from error
        return RetryScheduled(
            attempt=attempts.made,
            delay_s=delay,
            reason=error.detail,
            status=error.status if isinstance(error, ModelUnavailableError) else None,
        )

    def _delay(self, asked: float | None, attempt: int) -> float:
        if asked is not None:
            return asked + self._chance() * min(1.0, 0.1 * asked)
        bound = min(_FIRST_WAIT_S * 2.0 ** min(attempt - 1, 10), _LONGEST_WAIT_S)
        return self._chance() * bound


def _given_up(error: ModelError, attempts: _Attempts, clock: Clock) -> ModelError:
    """The same error, with what was tried in its sentence."""
    if attempts.made == 1:
        return error
    spent = clock.monotonic() - attempts.started
    provider, detail, *rest = error.args
    return type(error)(
        provider, f"{detail} (gave up after {attempts.made} tries in {spent:.0f} s)", *rest
    )
