"""How long to wait before the next try: longer each time, and never the same for two workers."""

import random
from collections.abc import Callable


class Backoff:
    """Doubles from `first_s` to `most_s`; each wait is between half of that and all of it."""

    def __init__(
        self,
        first_s: float = 0.5,
        most_s: float = 30.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s, self._most_s, self._chance = first_s, most_s, chance
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after another failure."""
        whole = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return whole * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
