"""How a node's fork server stands, asked from outside; for who ends processes, tests, checks."""

import socket
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.actors.forkserver import protocol

_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Status:
    """What a running server says."""

    pid: int
    forked: int
    """Workers, since it started."""
    launchers_cpu_s: float
    """What the processes took that asked for those workers, until they asked."""
    cpu_s: float
    """Its own, imports included."""


def status_of(node: str) -> Status | None:
    """The fork server of this machine's node with that id (hex); None if none answers."""
    path = f"{protocol.base_path(node)}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.settimeout(_PATIENCE_S)
        try:
            server.connect(path)
            server.sendall(protocol.STATUS)
            answer = server.recv(1024).decode("ascii").split()
        except OSError:
            return None
    if len(answer) != len(Status.__slots__):
        return None
    pid, forked, launchers_ns, own_ns = map(int, answer)
    return Status(pid, forked, launchers_ns / 1e9, own_ns / 1e9)


def why_off(node: str) -> str:
    """Why that node's workers are not forked, where the server said so; else empty."""
    try:
        return Path(f"{protocol.base_path(node)}.off").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def forget(node: str) -> None:
    """Remove the files of a node that has ended; its server has taken its socket away."""
    for ending in ("lock", "off", "sock"):
        Path(f"{protocol.base_path(node)}.{ending}").unlink(missing_ok=True)
