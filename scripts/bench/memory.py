"""Memory of processes as seen from outside, while they work."""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from codetether_ray.actors.processes import parents

_PERIOD_S = 0.1


def descendants(pids: Iterable[int]) -> set[int]:
    """These processes and all that they started and that lives."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():  # with what a fork server made for a raylet
        children.setdefault(parent, []).append(child)
    found: set[int] = set()
    todo = list(pids)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, ())
    return found


def pss_bytes(pids: Iterable[int]) -> int:
    """Memory of processes, what they share divided among them (`smaps_rollup`, proc(5))."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of CPU that living processes, and children that they waited for, have used."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / 100


class Sampler:
    """Samples the memory of processes and their descendants until it is left.

    `roots` is asked again for each sample, so that processes may come and go.
    """

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        self._roots = roots
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.samples: list[tuple[float, int]] = []
        """Monotonic time in seconds, bytes."""

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    @property
    def peak(self) -> int:
        """The most that was seen, in bytes."""
        return max((size for _, size in self.samples), default=0)

    def peak_since(self, moment: float) -> int:
        """The most that was seen from a moment on (`time.monotonic`)."""
        return max((size for at, size in self.samples if at >= moment), default=0)

    def _sample(self) -> None:
        while not self._enough.wait(_PERIOD_S):
            at = time.monotonic()
            self.samples.append((at, pss_bytes(descendants(self._roots()))))
