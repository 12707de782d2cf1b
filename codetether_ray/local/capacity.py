"""What this machine, or the container around this process, has and has free (Linux)."""

import os
from pathlib import Path

from codetether_ray.ports.host import Capacity

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_KIB = 1024


def machine_capacity(proc: Path = _PROC, cgroup: Path = _CGROUP) -> Capacity:
    """CPUs and memory: of the machine, or of the control group (v2) where that is less."""
    total, free = _machine_memory(proc)
    limit = _number(cgroup / "memory.max")
    if limit is not None and limit < total:
        used = _number(cgroup / "memory.current") or 0
        total, free = limit, min(free, limit - used + _page_cache(cgroup))
    return Capacity(
        cpus=_cpus(cgroup),
        memory_bytes=total,
        free_memory_bytes=max(free, 0),
        largest_memory_bytes=total,
    )


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
