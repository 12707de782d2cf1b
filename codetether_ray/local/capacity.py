"""What this machine, or the container around this process, has and has free (Linux)."""

import os
from collections.abc import Mapping
from pathlib import Path

from codetether_ray.ports.host import Capacity

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_KIB = 1024
_THRESHOLD = 0.95  # Ray's default
_MARGIN = 0.01  # of a node's memory: what may be taken between two looks


def machine_capacity(proc: Path = _PROC, cgroup: Path = _CGROUP) -> Capacity:
    """CPUs and memory: of the machine, or of the control group where that is less."""
    total, free = _machine_memory(proc)
    for group, most, now in (
        (cgroup, "memory.max", "memory.current"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit = _number(group / most)
        if limit is not None and limit < total:
            used = _number(group / now) or 0
            total, free = limit, min(free, limit - used + _page_cache(group))
    return Capacity(
        cpus=_cpus(cgroup),
        memory_bytes=total,
        free_memory_bytes=max(free, 0),
        largest_memory_bytes=total,
    )


def node_capacity(home: object) -> tuple[int, int]:
    """What is free on the node that this process is on, and what must stay free there; bytes."""
    here = machine_capacity()
    return here.free_memory_bytes, monitor_floor(here.memory_bytes, os.environ)


def monitor_floor(total_bytes: int, environ: Mapping[str, str]) -> int:
    """What must stay free so that Ray's memory monitor kills nobody, and a little more.

    It kills once more than `RAY_memory_usage_threshold` of the memory is used, or, where that
    leaves more in use, once less than `RAY_min_memory_free_bytes` is free.
    """
    if environ.get("RAY_memory_monitor_refresh_ms") == "0":
        return 0
    threshold = _setting(environ, "RAY_memory_usage_threshold", _THRESHOLD)
    kept = total_bytes - int(total_bytes * threshold)
    least = int(_setting(environ, "RAY_min_memory_free_bytes", -1))
    if least >= 0:
        kept = min(kept, least)
    return kept + int(total_bytes * _MARGIN)


def _setting(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(environ.get(name, default))
    except ValueError:
        return default


def _machine_memory(proc: Path) -> tuple[int, int]:
    sizes = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) * _KIB
    return sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemFree"])


def _page_cache(cgroup: Path) -> int:
    """Files held in memory, which the kernel gives up when it must."""
    try:
        lines = (cgroup / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _cpus(cgroup: Path) -> float:
    cpus = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return cpus
    return cpus if quota == "max" else min(cpus, int(quota) / int(period))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None
