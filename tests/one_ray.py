"""A process is connected to one Ray at a time, and several folders of tests have one for all."""

import asyncio
from collections.abc import Iterator

from codetether_ray.actors.cluster import Cluster, ClusterOptions, join_or_start

_open: list[Cluster] = []


def one_ray(options: ClusterOptions) -> Iterator[Cluster]:
    """A Ray until the end of the session, or until another folder of tests has its own."""
    _close()
    started = asyncio.run(join_or_start(options))
    _open.append(started)
    yield started
    if started in _open:
        _close()


def _close() -> None:
    while _open:
        asyncio.run(_open.pop().close())
