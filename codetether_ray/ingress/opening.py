"""Opens what one ingress needs: in a replica, in `codetether spawn`'s process, in a test."""

import asyncio
import importlib
import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import ConfigError
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.parts import Parts

GATE = "codetether_ray.ingress.gate_opening:open_gate"
"""`open_gate(options, reach) -> Gate`."""
STORES = "codetether_ray.ingress.stores:open_tasks"
"""`open_tasks(options, reach) -> (TaskStore, TaskChannel)`."""
HANDLER = "codetether_ray.ingress.handling:open_handler"
"""`open_handler(options, reach, store, channel, agents, holder) -> TaskHandler`."""
PLATFORM = "codetether_ray.ingress.platform:open_platform"
"""`open_platform(options, reach) -> Platform`: the tasks that workers claim."""

_LOG = logging.getLogger(__name__)


async def open_parts(
    options: IngressOptions, reach: Reach, *, holder: str = "", gate: Any = None
) -> Parts:
    """Open an ingress' parts; `close_parts` lets go of them.

    Each opener may be a coroutine function; what it gives is closed by its `close`, if it has one.

    Args:
        options: what it is opened with.
        reach: where the truth is, and the cluster, if there is one.
        holder: as whom it holds tasks; empty: a new name. No two live ingresses share one.
        gate: who may come in; None: by the tokens of the truth.

    Raises:
        CodetetherError: something cannot be opened; what was, is closed again.
    """
    closing: list[Any] = []
    try:
        return await _opened(options, reach, holder or f"ingress-{uuid4().hex}", gate, closing)
    except BaseException:
        await asyncio.shield(_close_all(closing))
        raise


@asynccontextmanager
async def opened_parts(
    options: IngressOptions, reach: Reach, *, gate: Any = None
) -> AsyncIterator[Parts]:
    """`open_parts`, closed at the end."""
    parts = await open_parts(options, reach, gate=gate)
    try:
        yield parts
    finally:
        await close_parts(parts)


async def close_parts(parts: Parts) -> None:
    """Let go of everything, last opened first. One that fails doesn't keep the others open."""
    await _close_all(parts.closing)


async def _opened(
    options: IngressOptions, reach: Reach, holder: str, gate: Any, closing: list[Any]
) -> Parts:
    gate = gate if gate is not None else await _open(GATE, closing, options, reach)
    platform = await _open(PLATFORM, closing, options, reach)
    store, channel = await _open(STORES, closing, options, reach)
    agents = await _open(options.agents, closing, options, reach)
    handler = await _open(HANDLER, closing, options, reach, store, channel, agents, holder)
    return Parts(
        options=options,
        reach=reach,
        handler=handler,
        agents=agents,
        gate=gate,
        platform=platform,
        store=store,
        closing=closing,
    )


async def _open(opener: str, closing: list[Any], *arguments: Any) -> Any:
    """What the function `module:name` gives; what of it can be closed is noted.

    Raises:
        ConfigError: there is no such function.
    """
    module, _, name = opener.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{opener!r} is no function that can be imported: {error}") from error
    found = function(*arguments)
    given = await found if inspect.isawaitable(found) else found
    several = given if isinstance(given, tuple) else (given,)
    closing.extend(one.close for one in several if hasattr(one, "close"))
    return given


async def _close_all(closing: list[Any]) -> None:
    while closing:
        close = closing.pop()
        try:
            done = close()
            if inspect.isawaitable(done):
                await done
        except Exception:  # noqa: BLE001 - the others are closed as well
            _LOG.exception("a part of the ingress did not close")
