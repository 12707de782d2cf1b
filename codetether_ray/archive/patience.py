"""How long to wait before the next try, and for how long at all."""

import random
from collections.abc import Callable
from typing import TypeVar

from codetether_ray.core.errors import ArchiveUnreachableError

T = TypeVar("T")
FIRST_S, LONGEST_S = 0.5, 60.0


class Backoff:
    """Doubles from half a second to a minute; half of it is random: many don't come at once."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        whole = min(FIRST_S * 2.0 ** min(self._failures, 30), LONGEST_S)
        self._failures += 1
        return whole * (0.5 + self._jitter() / 2)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0


def insist(
    work: Callable[[], T],
    *,
    for_s: float,
    wait: Callable[[float], bool],
    now: Callable[[], float],
    tell: Callable[[ArchiveUnreachableError], None],
    backoff: Backoff | None = None,
) -> T:
    """Do `work` again while the archive is away, up to `for_s` seconds.

    `wait` waits some seconds and says whether to go on; `tell` hears of the first failure.

    Raises:
        ArchiveUnreachableError: it stayed away, or nobody wants to wait any more.
        ArchiveError: trying again does not help.
    """
    backoff = backoff or Backoff()
    deadline = now() + for_s
    is_told = False
    while True:
        try:
            return work()
        except ArchiveUnreachableError as error:
            if not is_told:
                tell(error)
                is_told = True
            pause_s = min(backoff.next_s(), max(deadline - now(), 0.0))
            if now() >= deadline or not wait(pause_s):
                raise
