"""Files of the user's that a run has set aside (a PRD, its progress), out of a delivery's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from codetether_ray.bootstrap.ralph.book import write
from codetether_ray.workspace.git import Ground
from codetether_ray.workspace.trunk import content_at


@asynccontextmanager
async def as_committed(ground: Ground, paths: tuple[Path, ...]) -> AsyncIterator[None]:
    """The tracked ones as the user's commit has them, for a delivery that changes them.

    Afterwards they hold what they held: what the user has not committed stays uncommitted.

    Raises:
        PrdFileError: one cannot be written.
    """
    held: dict[Path, bytes] = {}
    try:
        for path in paths:
            committed = await _committed(ground, path)
            now = await asyncio.to_thread(_held, path)
            if committed is not None and now is not None and now != committed:
                held[path] = now
                await asyncio.to_thread(write, path, committed)
        yield
    finally:
        for path, data in held.items():
            await asyncio.to_thread(write, path, data)


async def _committed(ground: Ground, path: Path) -> bytes | None:
    """What a file holds in the commit that the run began from; None where it is not in it."""
    real, root = path.resolve(), ground.repository.root.resolve()
    if ground.repository.is_private or not ground.record.head or not real.is_relative_to(root):
        return None
    return await content_at(ground.git, ground.record.head, real.relative_to(root).as_posix())


def _held(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
