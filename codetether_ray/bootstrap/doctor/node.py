"""What one node tells of itself: plain facts, gathered in the process of that node's daemon.

Called there by name (`FACTS`, `CLOCK`); what they mean is judged where the doctor was asked.
"""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from codetether_ray.actors.versions import ours
from codetether_ray.bootstrap.doctor.machine import git_identity, git_version
from codetether_ray.bootstrap.doctor.reaching import trouble, troubles
from codetether_ray.bootstrap.doctor.semantics import disk_troubles
from codetether_ray.bootstrap.token.place import find_token
from codetether_ray.disk.filesystem import describe
from codetether_ray.local.capacity import machine_capacity

FACTS = f"{__name__}:facts"
CLOCK = f"{__name__}:clock"
_AT_ONCE = 32


class Home(Protocol):
    """As much of a node's home as is asked for here."""

    data_dir: Path


class Host(Protocol):
    """As much of a node's home as tells which it is."""

    host: str


def facts(home: Home, about: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, git, token, disk, memory, and what can be reached: of `urls` and of `peers`."""
    token = find_token(os.environ)
    capacity = machine_capacity()
    return {
        "versions": asdict(ours()),
        "git": {"version": git_version(), "identity": git_identity()},
        "token": {"fingerprint": token.fingerprint, "source": token.source},
        "disk": _disk(home.data_dir),
        "memory": {"total": capacity.memory_bytes, "free": capacity.free_memory_bytes},
        "urls": troubles(about.get("urls", ())),
        "peers": _unreachable(about.get("peers", ())),
    }


def clock(_: Home) -> float:
    """The time here, in seconds since the epoch."""
    return time.time()


def watch(home: Host) -> tuple[str, float]:
    """The host's name and the time there."""
    return home.host, time.time()


def _disk(data_dir: Path) -> dict[str, Any]:
    """The data directory: what speaks against it, and its room in bytes."""
    out: dict[str, Any] = {"path": str(data_dir), "error": "", "troubles": []}
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        out["troubles"] = list(disk_troubles(data_dir))
    except OSError as error:
        out["error"] = error.strerror or str(error)
    place = next(p for p in (data_dir, *data_dir.parents) if p.exists())
    out["free"] = shutil.disk_usage(place).free
    found = describe(place)
    return {**out, "kind": found.kind, "warning": found.warning}


def _unreachable(addresses: Sequence[str]) -> dict[str, str]:
    """Of these, the ones that cannot be reached, and why."""
    if not addresses:
        return {}
    with ThreadPoolExecutor(min(len(addresses), _AT_ONCE)) as pool:
        found = zip(addresses, pool.map(trouble, addresses), strict=True)
        return {address: why for address, why in found if why}
