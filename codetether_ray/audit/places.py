"""Where the audit log of a data directory is kept.

<data>/audit/<node>/index.jsonl            the chains of a node, registered
<data>/audit/<node>/<chain>.jsonl          one chain for each process that acted
<data>/audit/checkpoints/<node>/           signed checkpoints and roll-ups, apart from what they
                                           speak of
<data>/audit/keys/                         a node's key, and the public keys
"""

import os
import re
import secrets
import socket
import time
from datetime import datetime
from pathlib import Path

AUDIT = "audit"
CHECKPOINTS = "checkpoints"
KEYS = "keys"
INDEX = "index.jsonl"
SUFFIX = ".jsonl"
ROLL_UP = "retired-"
"""How the names of roll-ups begin, which lie among the checkpoints."""

_CHAIN = re.compile(r"\d{8}T\d{6}\d{6}Z-\d+-[0-9a-f]{8}")


def node_name() -> str:
    """This machine's name, fit for a directory."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname()).strip(".-") or "node"
    return f"{name}-node" if name in (CHECKPOINTS, KEYS) else name


def audit_dir(data_dir: Path) -> Path:
    """Everything of the audit log."""
    return data_dir / AUDIT


def node_dir(data_dir: Path, node: str) -> Path:
    """The chains of a node."""
    return data_dir / AUDIT / node


def checkpoint_dir(data_dir: Path, node: str) -> Path:
    """The checkpoints of a node's chains."""
    return data_dir / AUDIT / CHECKPOINTS / node


def key_dir(data_dir: Path) -> Path:
    """Private and public keys."""
    return data_dir / AUDIT / KEYS


def nodes(data_dir: Path) -> tuple[str, ...]:
    """The nodes that have written here, sorted.

    Raises:
        OSError: the directory cannot be read; a link to nothing is no empty log.
    """
    root = audit_dir(data_dir)
    try:
        found = [p.name for p in root.iterdir() if p.is_dir()]
    except FileNotFoundError:
        if root.is_symlink():
            raise
        return ()
    return tuple(sorted(name for name in found if name not in (CHECKPOINTS, KEYS)))


def checkpoint_nodes(data_dir: Path) -> tuple[str, ...]:
    """The nodes that something was signed of here, sorted: a trace of one that was taken away."""
    try:
        found = [p.name for p in (audit_dir(data_dir) / CHECKPOINTS).iterdir() if p.is_dir()]
    except FileNotFoundError:
        return ()
    return tuple(sorted(found))


def chain_path(data_dir: Path, node: str, chain: str) -> Path:
    """A chain's file."""
    return node_dir(data_dir, node) / f"{chain}{SUFFIX}"


def chains(data_dir: Path, node: str) -> tuple[str, ...]:
    """The chains that have a file, oldest first."""
    names = (p.name for p in node_dir(data_dir, node).glob(f"*{SUFFIX}"))
    return tuple(sorted(n.removesuffix(SUFFIX) for n in names if n != INDEX))


def new_chain(now: float) -> str:
    """A fresh chain's name: when it begins (microseconds), its process, 32 random bits."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    return f"{stamp}{int(now % 1 * 1e6):06}Z-{os.getpid()}-{secrets.token_hex(4)}"


def begun_at(chain: str) -> float | None:
    """When a chain began, by its name, in seconds since the epoch; None if it is no chain's."""
    if not is_chain(chain):
        return None
    try:
        stamp = f"{chain.partition('Z')[0]}+0000"
        return datetime.strptime(stamp, "%Y%m%dT%H%M%S%f%z").timestamp()
    except ValueError:
        return None


def is_chain(name: str) -> bool:
    """Whether `name` has the form of a chain's name."""
    return _CHAIN.fullmatch(name) is not None
