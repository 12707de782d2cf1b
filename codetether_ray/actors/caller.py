"""An agent's process as it calls at its supervisor's door: what got no answer is asked again."""

import asyncio
import itertools
from typing import Any, cast

from ray.exceptions import ActorUnavailableError, RayError

from codetether_ray.actors.calls import translated
from codetether_ray.actors.door import Badge

_SUPERVISOR = "the run's supervisor"
_PAUSE_S = 0.2


class Caller:
    """One per process of an agent. Calls are numbered, so that one that is repeated (it may have
    been done although its answer was lost) is done once."""

    def __init__(self, supervisor: Any, badge: Badge) -> None:
        self._supervisor = supervisor
        self._badge = badge
        self._numbers = itertools.count()
        self._open: set[int] = set()

    async def ask(self, verb: str, *arguments: Any) -> Any:
        """The answer of a verb of the `Door`.

        Raises:
            FencedError: another process took this agent over, or the supervisor did not make us.
            CodetetherError: what the verb raised.
            ClusterError: the supervisor is gone.
        """
        number = next(self._numbers)
        self._open.add(number)
        try:
            while True:
                reference = self._supervisor.call.remote(
                    self._badge, number, min(self._open), verb, arguments
                )
                try:
                    return await cast("Any", reference)
                except ActorUnavailableError:
                    await asyncio.sleep(_PAUSE_S)
                except RayError as error:
                    raise translated(error, _SUPERVISOR) from error
        finally:
            self._open.discard(number)
