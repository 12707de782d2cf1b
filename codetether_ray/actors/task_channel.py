"""The channel of tasks across processes: one actor on the head is the board of all replicas."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ray.exceptions import RayActorError, RayError

from codetether_ray.actors.calls import ask, reason
from codetether_ray.actors.pulse import keep_alive, plain
from codetether_ray.actors.tasks import BOARD, on_head
from codetether_ray.core.errors import ClusterError
from codetether_ray.local.board_channel import PACE_S, BoardChannel
from codetether_ray.local.task_board import MemoryBoard
from codetether_ray.local.task_listeners import MAX_EVENTS
from codetether_ray.ports.task_board import Mail, Notice
from codetether_ray.ports.task_channel import Signal

_BOARD = "the board of tasks on the head"
_LEASE_S = 10.0
"""A board that gives no sign of life for so long is started anew."""


class RayBoard:
    """The board port on the actor."""

    def __init__(self, find: Callable[[], Any]) -> None:
        """`find` gives the actor, and makes it where there is none; it blocks."""
        self._find = find
        self._actor: Any = None

    async def open(self) -> None:
        """Find the actor.

        Raises:
            ClusterError: it cannot be made.
        """
        try:
            self._actor = await asyncio.to_thread(self._find)
        except (RayError, ValueError) as error:
            raise ClusterError(f"{_BOARD} cannot be reached: {reason(error)}") from error

    async def join(self, replica: str, task_ids: Sequence[str]) -> None:
        """See `TaskBoard.join`."""
        await self._ask("join", replica, tuple(task_ids))

    async def change(self, replica: str, changes: Sequence[tuple[str, bool]]) -> bool:
        """See `TaskBoard.change`."""
        return bool(await self._ask("change", replica, changes))

    async def post(self, replica: str, notices: Sequence[Notice]) -> None:
        """See `TaskBoard.post`."""
        await self._ask("post", replica, notices)

    async def signal(self, replica: str, task_id: str, word: Signal) -> None:
        """See `TaskBoard.signal`."""
        await self._ask("signal", replica, task_id, word)

    async def take(
        self, replica: str, after: int, signals_after: int, wait_s: float
    ) -> Mail | None:
        """See `TaskBoard.take`."""
        mail: Mail | None = await self._ask("take", replica, after, signals_after, wait_s)
        return mail

    async def leave(self, replica: str) -> None:
        """See `TaskBoard.leave`."""
        await self._ask("leave", replica)

    async def keep(self) -> None:
        """Have a board that is frozen started anew, until cancelled."""
        while True:
            await keep_alive(self._actor, _LEASE_S)

    async def _ask(self, verb: str, *arguments: Any) -> Any:
        """The answer; where the actor is gone for good, of the one that is made then."""
        actor = self._actor
        try:
            return await plain(getattr(actor, verb).remote(*arguments))
        except RayActorError:
            if self._actor is actor:
                await self.open()
        return await ask(getattr(self._actor, verb).remote(*arguments), _BOARD)


class RayTaskChannel(BoardChannel):
    """The channel port on the actor. One per process and event loop."""

    def __init__(
        self, board: RayBoard, *, pace_s: float = PACE_S, max_events: int = MAX_EVENTS
    ) -> None:
        """Look after the board from now on."""
        super().__init__(board, pace_s=pace_s, max_events=max_events)
        self._keeping = asyncio.create_task(board.keep(), name="keeping the board of tasks")

    async def close(self) -> None:
        """See `TaskChannel.close`; the actor lives on."""
        await super().close()
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)


async def start_channel(
    data_dir: str, *, pace_s: float = PACE_S, max_events: int = MAX_EVENTS
) -> RayTaskChannel:
    """The channel of all ingresses of a data directory of the head.

    Raises:
        ClusterError: its actor cannot be made.
    """
    board = RayBoard(lambda: on_head(MemoryBoard, BOARD, data_dir))
    await board.open()
    return RayTaskChannel(board, pace_s=pace_s, max_events=max_events)
