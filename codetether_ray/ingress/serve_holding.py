"""What `codetether serve` does: finds or starts the cluster, has the ingress there, holds it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codetether_ray.bootstrap import tokens
from codetether_ray.bootstrap.truth.reach import Reach, is_private, joined, reached
from codetether_ray.core.errors import ClusterError
from codetether_ray.ingress.checks import settled
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.serve_announced import (
    Announced,
    announced,
    demand_none,
    end_announced,
    find_announced,
)

if TYPE_CHECKING:
    from codetether_ray.actors.cluster import Cluster
    from codetether_ray.ingress.serve_starting import Serving

Notice = Callable[[str], None]
_LOOK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the user is told once it answers."""

    serving: "Serving"
    token: str
    """Where the token is, in words; never the token."""


async def hold(
    options: IngressOptions,
    address: str | None,
    data_dir: Path,
    tell: Callable[[Told], None],
    notice: Notice,
    enough: asyncio.Event,
) -> None:
    """Have the ingress answer until there is `enough` of it, or it is ended from elsewhere.

    On the cluster that is named, on this user's head, else on a Ray of its own.

    Raises:
        ServesAlreadyError: one runs there, whose settings are others or that isn't ours to end.
        ServesHereError: one runs in another process' foreground.
        CodetetherError: it does not start, or its cluster is gone.
    """
    with _env_without_token() as env:
        await _hold(options, address, data_dir, tell, notice, enough, env)


async def _hold(
    options: IngressOptions,
    address: str | None,
    data_dir: Path,
    tell: Callable[[Told], None],
    notice: Notice,
    enough: asyncio.Event,
    env: Mapping[str, str],
) -> None:
    async with reached(address, data_dir, notice) as reach:
        is_own = is_private(reach)
        if reach.truth.is_here:
            demand_none(data_dir)
        if is_own:  # said before a Ray is started for it
            options = await asyncio.to_thread(settled, options)
    if not is_own:
        await _held(options, address, data_dir, tell, notice, enough, env)
        return
    with announced(data_dir) as announcement:

        def told(what: Told) -> None:
            announcement.tell(what.serving.options, what.serving.since_words)
            tell(what)

        await _held(options, address, data_dir, told, notice, enough, env)


async def _held(
    options: IngressOptions,
    address: str | None,
    data_dir: Path,
    tell: Callable[[Told], None],
    notice: Notice,
    enough: asyncio.Event,
    env: Mapping[str, str],
) -> None:
    from codetether_ray.actors.probe import answers
    from codetether_ray.ingress import serve_starting

    async with _cluster(address, data_dir, notice) as (reach, cluster):
        token = await _token(reach, env)
        serving = await _unless(enough, serve_starting.start(options, reach, notice))
        if serving is None:
            return
        try:
            tell(Told(serving=serving, token=token))
            if serving.is_new:
                await _watch(cluster, notice, enough)
        finally:
            if serving.is_new and await asyncio.to_thread(answers, cluster.address):
                notice("draining: what is under way has some seconds; once more ends at once")
                await asyncio.shield(serve_starting.stop())


async def leave(
    options: IngressOptions,
    address: str | None,
    data_dir: Path,
    notice: Notice,
) -> Told:
    """Have the ingress answer on a cluster that stays: as named, or this user's head, which is
    started if there is none.

    Raises:
        CodetetherError: it does not start.
    """
    with _env_without_token() as env:
        return await _leave(options, address, data_dir, notice, env)


async def _leave(
    options: IngressOptions,
    address: str | None,
    data_dir: Path,
    notice: Notice,
    env: Mapping[str, str],
) -> Told:
    from codetether_ray.bootstrap import head
    from codetether_ray.ingress import serve_starting

    async with reached(address, data_dir, notice) as reach:
        if reach.truth.is_here:
            demand_none(data_dir)
        if is_private(reach):
            up = await asyncio.to_thread(head.start, head.HeadWish(data_dir=data_dir))
            notice(f"a Ray head runs for your commands at {up.address}; `codetether down` ends it")
    async with _cluster(None if address == "local" else address, data_dir, notice) as (reach, _):
        token = await _token(reach, env)
        serving = await serve_starting.start(options, reach, notice)
        return Told(serving=serving, token=token)


@contextmanager
def _env_without_token() -> Iterator[Mapping[str, str]]:
    """The environment as it was; the server's token is not in it meanwhile, so that no process of
    a Ray that is started has it. Its digest is all that crosses."""
    before = dict(os.environ)
    os.environ.pop(tokens.AUTH_TOKEN, None)
    try:
        yield before
    finally:
        if tokens.AUTH_TOKEN in before:
            os.environ[tokens.AUTH_TOKEN] = before[tokens.AUTH_TOKEN]


async def _token(reach: Reach, env: Mapping[str, str]) -> str:
    """Settle which token counts, and say where it is; who finds an ingress changes nothing."""
    from codetether_ray.ingress import serve_starting

    if await serve_starting.find() is not None:
        return await tokens.whereabouts(reach.truth)
    return await tokens.settle(reach.truth, env)


async def look(address: str | None, data_dir: Path, notice: Notice) -> "Serving | Announced | None":
    """The ingress that runs; None where there is none, or no cluster that could have one."""
    async with _there(address, data_dir, notice) as is_there:
        if not is_there:
            return find_announced(data_dir)
        from codetether_ray.ingress import serve_starting

        return await serve_starting.find()


async def end(address: str | None, data_dir: Path, notice: Notice) -> "Serving | Announced | None":
    """End the ingress that runs; None where there was none.

    Raises:
        ClusterError: it still ends after a minute.
    """
    async with _there(address, data_dir, notice) as is_there:
        if not is_there:
            return await end_announced(data_dir)
        from codetether_ray.ingress import serve_starting

        return await serve_starting.stop()


@asynccontextmanager
async def _there(address: str | None, data_dir: Path, notice: Notice) -> AsyncIterator[bool]:
    """Whether there is a cluster, joined inside; none is started for a question."""
    async with reached(address, data_dir, notice) as reach:
        if is_private(reach):
            yield False
            return
        async with joined(reach, data_dir, notice):
            yield True


@asynccontextmanager
async def _cluster(
    address: str | None, data_dir: Path, notice: Notice
) -> AsyncIterator[tuple[Reach, "Cluster"]]:
    async with (
        reached(address, data_dir, notice) as reach,
        joined(reach, data_dir, notice) as cluster,
    ):
        yield replace(reach, cluster=cluster), cluster


async def _unless(enough: asyncio.Event, work: Coroutine[Any, Any, "Serving"]) -> "Serving | None":
    """The result of `work`; None where there was enough before it was done."""
    task, stop = asyncio.create_task(work), asyncio.create_task(enough.wait())
    both: set[asyncio.Task[Any]] = {task, stop}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return None
    finally:
        stop.cancel()


async def _watch(cluster: "Cluster", notice: Notice, enough: asyncio.Event) -> None:
    """Until there is enough, or the ingress was ended from elsewhere.

    Raises:
        ClusterError: the cluster is gone.
    """
    gone = asyncio.create_task(cluster.gone())
    others = {asyncio.create_task(enough.wait()), asyncio.create_task(_tell_changes(notice))}
    try:
        await asyncio.wait({gone, *others}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise ClusterError(f"the Ray cluster at {cluster.address} died, its ingress with it")
    finally:
        for one in (gone, *others):
            one.cancel()


async def _tell_changes(notice: Notice) -> None:
    """Say when replicas are lost and when all answer again; until nothing runs any more."""
    from codetether_ray.ingress import serve_starting

    was_well = True
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            found = await serve_starting.find()
        except ClusterError:  # Serve's controller is being replaced, or the cluster is gone
            continue
        if found is None:
            notice("it was ended from elsewhere")
            return
        if found.is_well != was_well:
            was_well = found.is_well
            notice("all replicas answer" if was_well else _ill(found))


def _ill(found: "Serving") -> str:
    return f"{found.replicas} of {found.options.replicas} replicas answer; Serve replaces the rest"
