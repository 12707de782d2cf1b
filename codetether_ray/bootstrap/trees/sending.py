"""Commits on their way to another node's clone: what that lacks goes in one pack, in pieces."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.trees.order import Offer
from codetether_ray.core.errors import ClusterError, WorkspaceError
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.transport import Boxes, pack, present, send

_TRIES = 2

Ask = Callable[..., Awaitable[Any]]
"""Calls a function of `trees.node` for one run on one node: its name, then its arguments."""


async def bring(ask: Ask, git: Git, wanted: tuple[str, ...], folder: Path) -> None:
    """Have commits on a node; `folder` takes the pack meanwhile.

    Raises:
        WorkspaceError: git refuses, here or there.
        ClusterError: the node is gone.
    """
    for attempt in range(_TRIES):
        offer: Offer = await ask("offer", wanted)
        if not offer.lacking:
            return
        try:
            await _send(ask, git, offer, wanted, folder)
        except WorkspaceError:
            if attempt == _TRIES - 1:
                raise
        else:
            return


async def _send(ask: Ask, git: Git, offer: Offer, wanted: tuple[str, ...], folder: Path) -> None:
    try:
        parcel = await pack(git, offer.lacking, await present(git, offer.have), folder)
        try:
            await send(parcel, lambda at, data: ask("put", offer.box, at, data))
        finally:
            await asyncio.to_thread(parcel.drop)
        await ask("take", offer.box, parcel.digest, offer.lacking, wanted)
    except BaseException:
        await asyncio.shield(_give_up(ask, offer.box))
        raise


async def _give_up(ask: Ask, box: str) -> None:
    try:
        await ask("give_up", box)
    except (ClusterError, WorkspaceError):
        return


async def receive(ask: Ask, data: bytes, box: str, size: int, folder: Path) -> Path:
    """A pack that a node answered with, as a file: `data`, or `size` bytes that wait as `box`.

    Raises:
        WorkspaceError: it did not come whole.
        ClusterError: the node is gone.
    """
    boxes, name, offset = Boxes(folder), secrets.token_hex(8), 0
    if box:
        data = await ask("piece", box, 0)
    while data:
        await asyncio.to_thread(boxes.put, name, offset, data)
        offset += len(data)
        data = await ask("piece", box, offset) if box else b""
    if offset != size:
        raise WorkspaceError(f"of a pack of {size} bytes, {offset} came")
    return await asyncio.to_thread(boxes.close, name)
