"""The rate limiter inside one process: also the state that the Ray registry actor holds.

Nothing known: nothing is held back. What a provider tells of its limit is gone by; what it does not
tell is learned from what it lets through, as TCP learns a line's rate: a refusal lowers the pace to
a little less than what was let through, success raises it, fast at first and slowly near the rate
at which it was refused last. All refusals of one moment are one: they answer calls that were under
way already.
"""

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from codetether_ray.ports.clock import Clock
from codetether_ray.ports.limiter import Lease, RateFeedback

_SLOWEST = 1 / 60
"""Calls a second."""
_LONGEST_HOLD_S = 60.0
_FIRST_HOLD_S = 1.0
_LEAST_HOLD_S = 0.05
_LESS, _MUCH_LESS = 0.9, 0.5
"""After a refusal the pace is this part of what it was; the second where nothing has been let
through since the one before."""
_FAST, _SLOW = 0.3, 0.01
"""How much the pace grows in a second: far from the rate that was refused last, and near it."""
_NEAR_CEILING = 0.9
_SAME_S = 0.5
"""Refusals within this time of one are of the same moment."""
_MEMORY_S = 2.0
"""What was let through is counted over about this time."""
_FORGOTTEN_S = 60.0
"""So long without a refusal: nothing is held back any more."""
_FEW = 0.2
"""Below this share left of what a provider tells, its limit is gone by."""
_MOVED_S = 0.1
_MOVED_SHARE = 0.25
"""A reset that moves away by more while calls are made is of a bucket that refills."""
_LEASE_S = 10.0
"""How long a lease holds; what is not used by then is lost to no one: permits refill by time."""
_BUSY = (429, 503, 529)
_UNKNOWN = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a provider tells of its limit.

    Some count calls in a fixed window, at whose end all are free again; with others a bucket
    refills all the time, and the reset is when it will be full: that moves away with each call.
    """

    rate: float = _UNKNOWN
    """Calls a second that leave nothing to be refused, until `ends_at`."""
    ends_at: float = 0.0
    remaining: int = 0
    most: int = 0
    """What remained by the first answer since it was last more again, and the reset it told."""
    resets_at: float = 0.0
    refills: bool = False

    def rate_at(self, now: float) -> float:
        """Calls a second that may be made now."""
        return self.rate if now < self.ends_at else _UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a provider may be called. Times are the clock's monotonic seconds.

    `rate` is what refusals have taught, `window` what is told; none starts before `held_until`.
    """

    rate: float = _UNKNOWN
    held_until: float = 0.0
    slowed_at: float = -math.inf
    ceiling: float = _UNKNOWN
    """The rate that was refused last."""
    streak: int = 0
    """Refusals since anything was let through."""
    passed: float = 0.0
    """Calls that were begun and not refused, each less the longer it is ago: answers come too late
    to be counted."""
    passed_at: float = 0.0
    grown_at: float = 0.0
    window: Window = Window()

    def interval_s(self, now: float) -> float:
        """What lies between two calls."""
        return 1 / min(self.rate, self.window.rate_at(now))

    def is_slowed(self, now: float) -> bool:
        """Whether anything holds calls back, or lately did."""
        return self.interval_s(now) > 0 or self.held_until > 0

    def goodput(self, now: float) -> float:
        """Calls a second that were let through lately."""
        return self.passed * math.exp((self.passed_at - now) / _MEMORY_S) / _MEMORY_S


def begun(pace: Pace, calls: int, now: float) -> Pace:
    """The pace once so many calls are begun; fewer than none take back what was refused."""
    passed = pace.passed * math.exp((pace.passed_at - now) / _MEMORY_S) + calls
    return replace(pace, passed=max(passed, 0.0), passed_at=now)


def learned(pace: Pace, feedback: RateFeedback, now: float) -> Pace:
    """The pace after an answer's feedback."""
    pace = replace(pace, window=_told(pace.window, feedback, now))
    if feedback.status in _BUSY:
        return _refused(pace, feedback, now)
    held = pace.held_until if pace.held_until > now else 0.0
    if feedback.remaining == 0 and feedback.resets_in_s is not None and not pace.window.refills:
        held = max(held, now + min(feedback.resets_in_s, _LONGEST_HOLD_S))
    return _passed(replace(pace, held_until=held), now)


def _told(window: Window, feedback: RateFeedback, now: float) -> Window:
    """What is known of the provider's own count after an answer that may tell of it."""
    left, limit, resets_in = feedback.remaining, feedback.limit, feedback.resets_in_s
    if left is None or not limit or resets_in is None:
        return window
    if left > window.remaining or not window.resets_at:
        window = replace(window, most=left, resets_at=now + resets_in)
    moved = now + resets_in - window.resets_at
    has_moved = left < window.most and moved > max(_MOVED_S, _MOVED_SHARE * resets_in)
    refills = window.refills or has_moved
    rate = _UNKNOWN
    if left / limit < _FEW and resets_in > 0:
        calls = limit - left if refills else left
        rate = max(max(calls, 1) / resets_in, _SLOWEST)
    return replace(window, rate=rate, ends_at=now + resets_in, remaining=left, refills=refills)


def _refused(pace: Pace, feedback: RateFeedback, now: float) -> Pace:
    pace, asked = begun(pace, -1, now), feedback.retry_after_s
    if now < max(pace.held_until, pace.slowed_at + _SAME_S):
        rate = _after_burst(pace, now) if pace.ceiling == _UNKNOWN else pace.rate
        held = pace.held_until if asked is None else _later(pace, now + asked)
        return replace(pace, rate=rate, held_until=held)
    was = min(pace.rate, max(pace.goodput(now), _SLOWEST))
    rate = max(was * (_MUCH_LESS if pace.streak else _LESS), _SLOWEST)
    hold = _hold(pace, rate) if asked is None else asked
    if asked is None and feedback.remaining == 0 and feedback.resets_in_s is not None:
        hold = min(hold, feedback.resets_in_s) if pace.window.refills else feedback.resets_in_s
    return replace(
        pace,
        rate=rate,
        held_until=_later(pace, now + hold),
        slowed_at=now,
        ceiling=was if pace.rate < _UNKNOWN else _UNKNOWN,
        streak=pace.streak + 1,
    )


def _after_burst(pace: Pace, now: float) -> float:
    """What is left of a first burst with each further refusal of it."""
    return max(min(pace.rate, _LESS * pace.goodput(now)), _SLOWEST)


def _hold(pace: Pace, rate: float) -> float:
    """How long nobody calls after a refusal that asks for no certain time."""
    first = max(2 / rate, _LEAST_HOLD_S) if pace.rate < _UNKNOWN else _FIRST_HOLD_S
    return min(min(first, _FIRST_HOLD_S) * 2.0 ** min(pace.streak, 10), _LONGEST_HOLD_S)


def _later(pace: Pace, moment: float) -> float:
    return max(pace.held_until, moment)


def _passed(pace: Pace, now: float) -> Pace:
    if pace.rate == _UNKNOWN or pace.held_until > now:
        return replace(pace, grown_at=now)
    if now - pace.slowed_at > _FORGOTTEN_S:
        return replace(pace, rate=_UNKNOWN, ceiling=_UNKNOWN, streak=0, grown_at=now)
    is_near = pace.rate >= _NEAR_CEILING * pace.ceiling
    since = min(max(now - pace.grown_at, 0.0), 1.0)
    grown = pace.rate * (1 + (_SLOW if is_near else _FAST) * since)
    is_used = pace.rate <= 2 * pace.goodput(now) + 1
    return replace(pace, rate=grown if is_used else pace.rate, streak=0, grown_at=now)


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
        if not lane.pace.is_slowed(self._clock.monotonic()) and not lane.turn.locked():
            return self._grant(provider, max(least, most), lane)
        async with lane.turn:
            await self._wait_for(lane)
            now = self._clock.monotonic()
            interval = lane.pace.interval_s(now)
            calls = least if interval else max(least, most)
            is_on_time = 0 <= now - lane.next_at < _LATE_S
            lane.next_at = (lane.next_at if is_on_time else now) + interval * calls
        return self._grant(provider, calls, lane)

    async def _wait_for(self, lane: "_Lane") -> None:
        while True:
            now = self._clock.monotonic()
            start = max(lane.pace.held_until, lane.next_at if lane.pace.interval_s(now) else 0.0)
            if start <= now:
                return
            lane.news.clear()
            await _either(self._clock.sleep(start - now), lane.news.wait())

    def _grant(self, provider: str, calls: int, lane: "_Lane") -> Lease:
        lane.pace = begun(lane.pace, calls, self._clock.monotonic())
        return Lease(provider=provider, calls=calls, expires_at=self._clock.now() + _LEASE_S)

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        """Tell what an answer said: 429s slow everyone down, successes speed up again."""
        lane = self._lanes.setdefault(provider, _Lane())
        now = self._clock.monotonic()
        lane.pace = learned(lane.pace, feedback, now)
        next_at = now + lane.pace.interval_s(now)
        if lane.next_at > next_at:
            lane.next_at = next_at
            lane.news.set()  # a faster pace holds for who waits, too

    def pace(self, provider: str) -> Pace:
        """What is known of a provider now."""
        lane = self._lanes.get(provider)
        if lane is None:
            return Pace()
        held = lane.pace.held_until
        return replace(lane.pace, held_until=held if held > self._clock.monotonic() else 0.0)


_LATE_S = 0.2
"""A timer that fires so much late is made up for; more is a pause, after which none is hurried."""


class _Lane:
    __slots__ = ("news", "next_at", "pace", "turn")

    def __init__(self) -> None:
        self.pace = Pace()
        self.next_at = 0.0
        self.turn = asyncio.Lock()
        self.news = asyncio.Event()


async def _either(*awaitables: Coroutine[Any, Any, object]) -> None:
    """Return with the first of them; the others are cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
