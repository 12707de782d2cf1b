"""A model with a rate limit: RATE calls a second, a second's worth at once; above it 429.

BENCH_HINT says how much it tells: `headers` (x-ratelimit-* on every answer), `retry-after` (on a
429 alone), or `nothing`. `GET /stats` of the server counts all requests, refused ones too.
"""

import math
import os
import time

from codetether_ray.testing.model_server import ModelCall, Reply, calls, fail, say

RATE = float(os.environ.get("BENCH_RATE", "20"))
_HINT = os.environ.get("BENCH_HINT", "headers")
_DELAY_S = 0.05


class _Bucket:
    """Permits that refill by time."""

    def __init__(self) -> None:
        self.left, self.at = RATE, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(RATE, self.left + (now - self.at) * RATE)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def told(self) -> tuple[tuple[str, str], ...]:
        if _HINT != "headers":
            return ()
        return (
            ("x-ratelimit-limit-requests", f"{RATE:.0f}"),
            ("x-ratelimit-remaining-requests", str(int(self.left))),
            ("x-ratelimit-reset-requests", f"{math.ceil((RATE - self.left) / RATE * 1000)}ms"),
        )


_BUCKET = _Bucket()


def reply(asked: ModelCall) -> Reply:
    """Two tool calls and a report, as fast as the limit lets."""
    if not _BUCKET.take():
        wait = 1 / RATE if _HINT == "retry-after" else None
        return fail(429, "rate limit exceeded", retry_after_s=wait, headers=_BUCKET.told())
    more = {"delay_s": _DELAY_S, "headers": _BUCKET.told()}
    if asked.step_in_turn < 2:
        return calls(("list_dir", {"path": "."}), **more)
    return say("Listed twice.", **more)
