"""A Ray head of this user for all commands: started beside the command, ended on request."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.actors.cluster import ClusterOptions, join_or_start
from codetether_ray.actors.head import Head, claim, find_head, stop_head
from codetether_ray.bootstrap.driver import writing
from codetether_ray.config.settings import load_settings
from codetether_ray.core.errors import ClusterError

_LOOK_S = 2.0
"""How often it is seen whether Ray still runs."""
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWish:
    """What `codetether up` was asked for."""

    data_dir: Path
    dashboard: bool = False
    memory_bytes: int | None = None
    """What agents may reserve there; None: what Ray finds."""
    warm: int = 0
    """How many processes of agents are kept ready there."""

    def arguments(self) -> list[str]:
        """The same as a command line."""
        out = ["up", "--foreground"]
        if self.dashboard:
            out.append("--dashboard")
        if self.warm:
            out += ["--warm", str(self.warm)]
        return [*out, "--memory", str(self.memory_bytes)] if self.memory_bytes else out


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """A head that runs now."""

    address: str
    dashboard_url: str = ""
    is_new: bool = True


async def hold(
    wish: HeadWish,
    tell: Callable[[Up], None],
    notice: Callable[[str], None],
    enough: asyncio.Event,
) -> None:
    """Start a head, `tell` of it, and hold it until there is `enough` of it.

    Raises:
        ClusterError: it cannot be started, another process holds one, or Ray's servers died.
    """
    with claim(wish.data_dir) as is_mine:
        if not is_mine:
            raise ClusterError("a head of yours is held by another process; see `codetether down`")
        cluster = await join_or_start(
            ClusterOptions(
                data_dir=wish.data_dir,
                log_path=wish.data_dir / "logs" / "head.ray.log",
                dashboard=wish.dashboard,
                memory_bytes=wish.memory_bytes,
                announce=True,
            ),
            notice,
        )
        try:
            if wish.warm:
                _keep_warm(wish)
            tell(Up(address=cluster.address, dashboard_url=cluster.dashboard_url))
            while cluster.is_alive:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await enough.wait()
                        return
            raise ClusterError(f"the Ray head at {cluster.address} died")
        finally:
            await cluster.close()


def _keep_warm(wish: HeadWish) -> None:
    """Have processes of agents made, which wait for the first agents; nobody waits for them."""
    from codetether_ray.actors.pool import shared_pool

    terms = load_settings(wish.data_dir, os.environ).pool
    shared_pool(replace(terms, warm=wish.warm))


def start(wish: HeadWish) -> Up:
    """Have a head held by a process of its own, which outlives this one; wait until it answers.

    Raises:
        ClusterError: it could not be started; the sentence is the holder's own.
    """
    found = find_head(wish.data_dir)
    if found is not None:
        return Up(address=found.address, is_new=False)
    log = wish.data_dir / "logs" / "head.log"
    with writing(wish.data_dir):
        log.parent.mkdir(parents=True, exist_ok=True)
        stderr = log.open("w")
    with stderr:
        holder = subprocess.Popen(
            [sys.executable, "-m", "codetether_ray", *wish.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    assert holder.stdout is not None
    try:
        line = holder.stdout.readline()
    except BaseException:
        holder.terminate()
        holder.wait()
        raise
    if not line:
        holder.wait()
        raise ClusterError(_last_word(log))
    return Up(**json.loads(line))


def stop(data_dir: Path, wait_s: float) -> Head | None:
    """End this user's head; None if there is none.

    Raises:
        ClusterError: it still tidies up after `wait_s`.
    """
    head = find_head(data_dir)
    if head is None:
        return None
    stop_head(head)
    deadline = time.monotonic() + wait_s
    while head.is_mine_and_alive:
        if time.monotonic() > deadline:
            raise ClusterError(f"process {head.pid} still ends the head at {head.address}")
        time.sleep(_POLL_S)
    return head


def _last_word(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        return f"the process that holds the head ended without a word (log: {log})"
    return lines[-1].removeprefix("codetether: ")
