"""What Ray says of a process that died, in this project's errors: its node, its memory, itself."""

import re

from ray.exceptions import ActorUnschedulableError, OutOfMemoryError, RayActorError, RayError

from codetether_ray.actors.calls import reason
from codetether_ray.core.errors import AgentLostError, MemoryExceededError, NodeLostError

_NODE_DIED = ("its node died", "its node was preempted")
_NO_MEMORY = "its node ran out of memory"
_USED = re.compile(r"was ([\d.]+)GB used / ([\d.]+)GB limit")
_KILLED = re.compile(r"\bpid=(\d+), actual memory used=([\d.]+)GB")
_GIB = 1 << 30  # what Ray calls GB


def is_death(error: RayError) -> bool:
    """Whether it tells that the process is gone, and not that a call failed."""
    return isinstance(error, RayActorError | OutOfMemoryError | ActorUnschedulableError)


def lost(
    agent: str, error: RayError, node: str = "", pid: int = 0, limit_bytes: int = 0
) -> AgentLostError:
    """The loss of an agent's process `pid` on `node`."""
    why = reason(error)
    if isinstance(error, ActorUnschedulableError) and node:
        return NodeLostError(agent, "its node is gone", node)
    if why in _NODE_DIED:
        return NodeLostError(agent, why, node)
    if isinstance(error, OutOfMemoryError) or why == _NO_MEMORY:
        text = str(error)
        return MemoryExceededError(agent, _why(text), _taken(text, pid), limit_bytes)
    return AgentLostError(agent, why)


def _why(text: str) -> str:
    """What Ray's memory monitor saw."""
    found = _USED.search(text)
    if found is None:
        return _NO_MEMORY
    used, whole = found.groups()
    return f"Ray's memory monitor ended it when {used} GB of its node's {whole} GB were used"


def _taken(text: str, pid: int) -> int:
    """What the process had when it was ended; 0 where that is not told."""
    taken = {int(number): float(amount) for number, amount in _KILLED.findall(text)}
    if pid not in taken and len(taken) != 1:
        return 0
    return int((taken[pid] if pid in taken else next(iter(taken.values()))) * _GIB)
