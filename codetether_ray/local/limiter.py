"""The rate limiter inside one process: also the state that the Ray registry actor holds.

The rules: a 429 holds everyone for its Retry-After, or for a delay that doubles with each one;
successes shrink it by a tenth each. Where a provider tells what is left of its window, calls are
spread over the rest of it once less than a fifth is left. Nothing known: nothing is held back.
"""

import asyncio
from dataclasses import dataclass, replace

from codetether_ray.ports.clock import Clock
from codetether_ray.ports.limiter import Lease, RateFeedback

_BASE_DELAY_S = 1.0
_MIN_DELAY_S = 0.1
_MAX_DELAY_S = 60.0
_MAX_BACKOFF = 32.0
_NEAR = 0.2
"""Below this share left, calls are spread over the window."""
_RECOVERY = 0.9
_LEASE_S = 10.0
"""How long a lease holds; what is not used by then is lost to no one: permits refill by time."""
_BUSY = (429, 503, 529)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a provider may be called. Times are the clock's monotonic seconds.

    `interval_s` lies between two calls; none starts before `held_until`. `backoff` is the factor
    that 429s double and successes shrink.
    """

    interval_s: float = 0.0
    held_until: float = 0.0
    backoff: float = 1.0

    @property
    def is_slowed(self) -> bool:
        """Whether anything holds calls back, or lately did."""
        return self.interval_s > 0 or self.backoff > 1.0 or self.held_until > 0


def learned(pace: Pace, feedback: RateFeedback, now: float) -> Pace:
    """The pace after an answer's feedback."""
    if feedback.status in _BUSY:
        return _slower(pace, feedback, now)
    backoff = max(1.0, pace.backoff * _RECOVERY)
    if backoff < 1.05:
        backoff = 1.0
    held = _still(pace, now)
    if feedback.remaining == 0 and feedback.resets_in_s is not None:
        held = max(held, now + feedback.resets_in_s)
    interval = max(_spread(feedback), _recovering(backoff))
    return Pace(interval_s=interval, held_until=held, backoff=backoff)


def _slower(pace: Pace, feedback: RateFeedback, now: float) -> Pace:
    backoff = min(_MAX_BACKOFF, pace.backoff * 2)
    delay = feedback.retry_after_s
    if delay is None and feedback.remaining == 0:
        delay = feedback.resets_in_s
    if delay is None:
        delay = min(_MAX_DELAY_S, _BASE_DELAY_S * backoff / 2)
    interval = max(_spread(feedback), _recovering(backoff))
    held = max(pace.held_until, now + delay)
    return Pace(interval_s=interval, held_until=held, backoff=backoff)


def _recovering(backoff: float) -> float:
    return _MIN_DELAY_S * backoff if backoff > 1.0 else 0.0


def _still(pace: Pace, now: float) -> float:
    return pace.held_until if pace.held_until > now else 0.0


def _spread(feedback: RateFeedback) -> float:
    """Seconds between calls so that what remains lasts until the window resets."""
    if feedback.remaining is None or not feedback.limit:
        return 0.0
    share = feedback.remaining / feedback.limit
    if share >= _NEAR:
        return 0.0
    window = _BASE_DELAY_S if feedback.resets_in_s is None else feedback.resets_in_s
    interval = window / max(feedback.remaining, 1) * (1.5 if share < _NEAR / 2 else 1.0)
    return min(_MAX_DELAY_S, max(_MIN_DELAY_S, interval))


class LocalLimiter:
    """One pace per provider; callers are served in the order they came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}

    async def acquire(self, provider: str, calls: int = 1) -> Lease:
        """Wait until `calls` calls may be made."""
        return await self.lease(provider, calls, calls)

    async def lease(self, provider: str, least: int, most: int) -> Lease:
        """Wait until `least` calls may be made; up to `most` where nothing holds back."""
        lane = self._lanes.setdefault(provider, _Lane())
        if not lane.pace.is_slowed and not lane.turn.locked():
            return self._grant(provider, max(least, most))
        async with lane.turn:
            await self._wait_for(lane)
            calls = least if lane.pace.interval_s else max(least, most)
            lane.next_at = self._clock.monotonic() + lane.pace.interval_s * calls
        return self._grant(provider, calls)

    async def _wait_for(self, lane: "_Lane") -> None:
        while True:
            start = max(lane.pace.held_until, lane.next_at if lane.pace.interval_s else 0.0)
            delay = start - self._clock.monotonic()
            if delay <= 0:
                return
            await self._clock.sleep(delay)

    def _grant(self, provider: str, calls: int) -> Lease:
        return Lease(provider=provider, calls=calls, expires_at=self._clock.now() + _LEASE_S)

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        """Tell what an answer said: 429s slow everyone down, successes speed up again."""
        lane = self._lanes.setdefault(provider, _Lane())
        now = self._clock.monotonic()
        lane.pace = learned(lane.pace, feedback, now)
        if lane.next_at > now + lane.pace.interval_s:
            lane.next_at = now + lane.pace.interval_s  # a faster pace holds for who waits, too

    def pace(self, provider: str) -> Pace:
        """What is known of a provider now."""
        lane = self._lanes.get(provider)
        if lane is None:
            return Pace()
        return replace(lane.pace, held_until=_still(lane.pace, self._clock.monotonic()))


class _Lane:
    __slots__ = ("next_at", "pace", "turn")

    def __init__(self) -> None:
        self.pace = Pace()
        self.next_at = 0.0
        self.turn = asyncio.Lock()
