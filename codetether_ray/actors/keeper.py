"""How an agent's process on another node than the run's hub has its trees kept there."""

import asyncio
import secrets
from pathlib import Path

from codetether_ray.actors.caller import Caller
from codetether_ray.ports.snapshots import Kept, KeptKind
from codetether_ray.workspace.transport import PIECE_BYTES, read_piece


class RayKeeper:
    """The keeper port on a supervisor."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def keep(self, kind: KeptKind, old: str, new: str, pack: Path) -> None:
        """Have it in the run's hub; a large pack goes there in pieces."""
        data = await asyncio.to_thread(read_piece, pack, 0)
        if len(data) < PIECE_BYTES:
            await self._caller.ask("keep", Kept(kind=kind, old=old, new=new, data=data))
            return
        box, offset = secrets.token_hex(8), 0
        while data:
            await self._caller.ask("put", box, offset, data)
            offset += len(data)
            data = await asyncio.to_thread(read_piece, pack, offset)
        await self._caller.ask("keep", Kept(kind=kind, old=old, new=new, box=box))
