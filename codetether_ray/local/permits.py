"""A permit as its holder has it: held, lent, taken back, given back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from codetether_ray.core.errors import CodetetherError
from codetether_ray.ports.admission import Need, Rank


@dataclass(frozen=True, slots=True)
class Share:
    """What was granted: part of a node."""

    ticket: str
    need: Need
    node: str
    largest_bytes: int = 0


class Desk(Protocol):
    """Where permits come from."""

    async def obtain(self, need: Need, rank: Rank) -> Share:
        """Wait for a share. Who is cancelled meanwhile holds none.

        Raises:
            NodeLostError: its node is gone.
        """
        ...

    def seize(self, need: Need, node: str) -> Share:
        """A share at once, whether it fits or not."""
        ...

    def give(self, share: Share) -> None:
        """Give one back."""
        ...


class HeldPermit:
    """Keeps true: whatever is cancelled when, its share is held at most once and given back."""

    def __init__(self, desk: Desk, share: Share) -> None:
        self._desk = desk
        self._share: Share | None = share
        self._need = replace(share.need, node=share.node)  # its process is there by then
        self._is_over = False
        self._loans = 0
        self.node = share.node
        self.largest_bytes = share.largest_bytes

    @property
    def is_lent(self) -> bool:
        """Whether its holder waits for children now."""
        return self._loans > 0

    def release(self) -> None:
        """Give it back for good. Idempotent."""
        self._is_over = True
        self._drop()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Let others use it inside the block; it is taken back, with priority, at the end.

        Blocks may overlap (a parent of several children): it is taken back after the last.
        """
        self._loans += 1
        self._drop()
        try:
            yield
        except BaseException as error:
            self._loans -= 1
            if isinstance(error, Exception):
                await self._take_back()
            else:
                self._seize()
            raise
        self._loans -= 1
        await self._take_back()

    @property
    def _is_wanted(self) -> bool:
        return not (self._loans or self._is_over or self._share is not None)

    def _drop(self) -> None:
        if self._share is not None:
            share, self._share = self._share, None
            self._desk.give(share)

    def _seize(self) -> None:
        """Take it back without waiting: who is being cancelled must not queue."""
        if self._is_wanted:
            self._share = self._desk.seize(self._need, self.node)

    async def _take_back(self) -> None:
        if not self._is_wanted:
            return
        try:
            share = await self._desk.obtain(self._need, Rank.RETURNING)
        except CodetetherError:  # its node is gone, and its process with it: others tell its holder
            self._seize()
            return
        except BaseException:
            self._seize()
            raise
        if self._is_wanted:
            self._share = share
        else:  # lent again or over, meanwhile
            self._desk.give(share)
