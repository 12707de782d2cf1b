"""An agent as it calls at its supervisor's door: what got no answer is asked again."""

import asyncio
import itertools
from typing import Any

from codetether_ray.actors.door import Badge
from codetether_ray.actors.line import Line, Sender


class Caller:
    """One per life of an agent. Calls are numbered, so that one that is repeated (it may have
    been done although its answer was lost) is done once."""

    def __init__(self, supervisor: Any, badge: Badge, line: Line | None = None) -> None:
        """Call on `line`, which its neighbours in this process use as well."""
        self._badge = badge
        self._line = line or Line(supervisor)
        self._numbers = itertools.count()
        self._sender = Sender(badge, set())

    async def ask(self, verb: str, *arguments: Any) -> Any:
        """The answer of a verb of the `Door`.

        Raises:
            FencedError: another process took this agent over, or the supervisor did not make us.
            CodetetherError: what the verb raised.
            ClusterError: the supervisor is gone.
        """
        number = next(self._numbers)
        self._sender.open.add(number)
        try:
            return await self._line.ask(self._sender, number, verb, arguments)
        finally:
            self._sender.open.discard(number)

    def tell(self, verb: str, *arguments: Any) -> "asyncio.Future[Any]":
        """Have a verb done soon, in order with what is written; its answer, if it is wanted."""
        number = next(self._numbers)
        self._sender.open.add(number)
        answer = self._line.tell(self._sender, number, verb, arguments)
        answer.add_done_callback(lambda _: self._sender.open.discard(number))
        return answer

    def hurry(self) -> None:
        """Send at once what was told."""
        self._line.hurry()
