"""Patience with a Ray of one's own that comes up: a busy machine may need longer than Ray waits."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codetether_ray.actors import processes
from codetether_ray.actors.processes import Process
from codetether_ray.core.errors import ClusterError

_PATIENCE_S = 150.0
"""For a raylet to be known to its head; Ray itself gives up after 30."""
_PAUSE_S = 0.05
_SERVERS = ("gcs_server", "raylet")


@contextmanager
def patience() -> Iterator[None]:
    """A Ray that is started inside has minutes to come up, and fails at once if a server ends.

    Ray has no option for it: the question that it repeats is replaced (Ray's version is pinned) by
    one that repeats itself; where it is missing all is as usual.
    """
    from ray._private import services  # noqa: PLC0415 - Ray is imported when it is needed

    plain: Any = getattr(services, "get_node", None)
    if plain is None:
        yield
        return
    others = servers_below(os.getpid())
    until = time.monotonic() + _PATIENCE_S
    services.get_node = patient(plain, until, lambda: _ended(others))
    try:
        yield
    finally:
        services.get_node = plain


def patient(ask: Callable[..., Any], until: float, ended: Callable[[], str]) -> Callable[..., Any]:
    """`ask`, which raises RuntimeError while a node is not known, and is asked again until then.

    `ended` names a server without which it never will be; then a ClusterError is raised.
    """

    def asked(*arguments: Any) -> Any:
        while True:
            try:
                return ask(*arguments)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
            if name := ended():
                raise ClusterError(
                    f"Ray could not be started: its {name} ended as it came up; "
                    "`codetether doctor` looks for the cause, and `--local` does without Ray"
                )
            time.sleep(_PAUSE_S)

    return asked


def _ended(others: dict[Process, str]) -> str:
    """The name of a server that has ended and is none of `others`; empty if all are there."""
    for server, name in servers_below(os.getpid()).items():
        if server not in others and not server.is_alive:
            return name
    return ""


def servers_below(pid: int) -> dict[Process, str]:
    """The servers of Rays that a process started, with their names; ended ones as well."""
    found: dict[Process, str] = {}
    for child, parent in processes.parents().items():
        name = _name(child) if parent == pid else ""
        if name in _SERVERS and (process := processes.find(child)) is not None:
            found[process] = name
    return found


def _name(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
