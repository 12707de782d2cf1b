"""A chain's file: what a committing thread writes for one process. It blocks.

The first commit makes the file, registers it, and opens the chain. A failed write is cut off; after
a failed flush the file is left alone for good, and the next commit begins another chain.
"""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray import __version__
from codetether_ray.audit import members
from codetether_ray.audit.checkpoint import keep, signed
from codetether_ray.audit.index import Registered, register
from codetether_ray.audit.keys import Signer, open_signer
from codetether_ray.audit.lines import Head, after, frame_all, opening
from codetether_ray.audit.places import chain_path, new_chain, node_dir, node_name
from codetether_ray.core import failpoints
from codetether_ray.core.errors import AuditError
from codetether_ray.disk.files import AppendFile, Disk, write_all

LINES = 1000
"""Lines after which a checkpoint is signed."""
SECONDS = 30.0
"""Time after which a checkpoint is signed, where anything was written since the last."""


@dataclass(eq=False, slots=True)
class Chunk:
    """Lines that belong together, as members, and whoever waits for them."""

    lines: list[str]
    """Outcomes, then intents."""
    time: float = 0.0
    """When the first intent was made; a chain that begins with it is named by that time."""
    intents: int = 0
    is_closing: bool = False
    waiter: Any = None
    answers: int = 0
    failures: int = 0
    is_settled: bool = False


@dataclass(slots=True)
class _Open:
    """A chain that is being written; `head` and `size` are of what is durable."""

    name: str
    path: Path
    file: AppendFile
    inode: int | None
    head: Head
    size: int
    proven: Head
    """The head at the last checkpoint, up to `proven_size` bytes."""
    proven_size: int
    signed_at: float


class ChainSink:
    """The chains that one process writes, one after the other (mostly one)."""

    def __init__(
        self,
        data_dir: Path,
        disk: Disk,
        clock: Callable[[], float] = time.time,
        *,
        lines: int = LINES,
        seconds: float = SECONDS,
    ) -> None:
        """Write below `data_dir`, nothing before the first commit."""
        self._data_dir = data_dir
        self._disk = disk
        self._clock = clock
        self._lines, self._seconds = lines, seconds
        self._node = node_name()
        self._open: _Open | None = None
        self._lost: AuditError | None = None
        self._signer: Signer | None = None
        self.trouble = ""
        """Why there is no checkpoint where there should be one."""

    @property
    def chain(self) -> str:
        """The chain that is written now; empty if there is none."""
        return self._open.name if self._open else ""

    def commit(self, chunks: Sequence[Chunk]) -> None:
        """Make the lines of chunks durable, in order.

        Raises:
            AuditError: none of them is.
        """
        if self._lost is not None:
            raise AuditError(*self._lost.args)
        lines = [line for chunk in chunks for line in chunk.lines]
        is_closing = any(chunk.is_closing for chunk in chunks)
        if self._open is None and not lines:
            return
        try:
            now = self._append(lines, chunks[0].time, is_closing=is_closing)
        except OSError as error:
            raise AuditError(_sentence(self._data_dir, error)) from error
        _hit(chunks)
        if is_closing:
            self._checkpoint(now, is_closing=True)
            self._leave()

    def mark(self) -> None:
        """Sign a checkpoint where one is due; nobody waits for that."""
        now = self._open
        if now is None or now.head == now.proven:
            return
        is_late = self._clock() - now.signed_at >= self._seconds
        if is_late or now.head.count - now.proven.count >= self._lines:
            self._checkpoint(now, is_closing=False)

    # -- writing ----------------------------------------------------------------------------------

    def _append(self, lines: list[str], since: float, *, is_closing: bool) -> _Open:
        begun = self._open
        if begun is None:
            begun, genesis = self._begin(since or self._clock())
            lines = [genesis, *lines]
        self._check_there(begun)
        if is_closing:
            lines = [*lines, members.own(_id(), self._clock(), members.CLOSED, {})]
        data, head = _framed(begun, lines)
        self._grow(begun, data, head)
        return begun

    def _begin(self, now: float) -> tuple[_Open, str]:
        """Make a chain's file and register it; its first line is still to be written."""
        name = new_chain(now)
        path = chain_path(self._data_dir, self._node, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._disk.create(path)
        try:
            for directory in (*path.parents[:2], self._data_dir):  # each may be new
                self._disk.sync_directory(directory)
            place = register(node_dir(self._data_dir, self._node), name, now, self._disk)
        except OSError:
            file.close()
            with suppress(OSError):
                path.unlink()
            raise
        failpoints.hit("audit.registered")
        begun = _Open(name, path, file, _inode(path), Head(), 0, Head(), 0, now)
        self._open = begun
        return begun, members.own(_id(), now, members.OPENED, _introduction(self._node, place))

    def _check_there(self, now: _Open) -> None:
        """Refuse where the file was deleted or replaced under us.

        Raises:
            AuditError: from then on, always.
        """
        if _inode(now.path) != now.inode:
            self._lost = AuditError(
                f"the audit file {now.path} was taken away while it was written; put it back, or "
                "find out who did that; nothing more is done by this process"
            )
            self._leave()
            raise self._lost

    def _grow(self, now: _Open, data: bytes, head: Head) -> None:
        try:
            write_all(now.file, data)
        except OSError:
            self._cut_back(now)
            raise
        failpoints.hit("audit.written")
        try:
            now.file.sync()
        except OSError:
            self._cut_back(now)
            self._leave()  # the kernel tells a lost page once: what is there now nobody knows
            raise
        now.head, now.size = head, now.size + len(data)

    def _cut_back(self, now: _Open) -> None:
        try:
            now.file.truncate(now.size)
        except OSError:
            self._leave()

    def _leave(self) -> None:
        if self._open is not None:
            with suppress(OSError):
                self._open.file.close()
            self._open = None

    # -- checkpoints ------------------------------------------------------------------------------

    def _checkpoint(self, now: _Open, *, is_closing: bool) -> None:
        """Prove what was written, sign it, and say so in the chain and apart from it."""
        try:
            self._prove(now)
            self._signer = self._signer or open_signer(self._data_dir, self._node)
            point = signed(
                self._signer,
                origin=self._node,
                chain=now.name,
                head=now.head,
                size=now.size,
                time=members.timestamp(self._clock()),
                is_closing=is_closing,
            )
            words = members.own(_id(), self._clock(), members.CHECKPOINT, point.to_json())
            data, head = _framed(now, [words])
            self._grow(now, data, head)
            now.proven, now.proven_size, now.signed_at = head, now.size, self._clock()
            keep(self._data_dir, point)
            failpoints.hit("audit.checkpoint")
        except Exception as error:  # noqa: BLE001 - kept as a word; the thread serves others
            self.trouble = str(error)
            now.signed_at = self._clock()  # not again with every batch

    def _prove(self, now: _Open) -> None:
        """Read the bytes back and hash them again: nothing is signed that is not there.

        Raises:
            AuditError: they are not what was written; from then on, always.
        """
        with now.path.open("rb") as file:
            file.seek(now.proven_size)
            data = file.read(now.size - now.proven_size)
        head = now.proven
        for line in data.split(b"\n")[:-1]:
            if not line.startswith(opening(now.name, head)):
                break
            head = after(head, line + b"\n")
        if head != now.head:
            self._lost = AuditError(
                f"the audit file {now.path} does not hold what was written to it: line "
                f"{head.count} is not ours; `codetether audit verify` says more"
            )
            raise self._lost


def _framed(now: _Open, lines: Sequence[str]) -> tuple[bytes, Head]:
    return frame_all(now.name, now.head, lines)


def _hit(chunks: Sequence[Chunk]) -> None:
    for chunk in chunks:
        failpoints.hit("audit.intent" if chunk.intents else "audit.outcome")


def _introduction(node: str, place: Registered) -> dict[str, Any]:
    """Who writes, and what it goes on from."""
    return {
        "node": node,
        "boot": _boot(),
        "pid": os.getpid(),
        "started": _started(),
        "program": __version__,
        "index": {"count": place.index.count, "head": place.index.hash},
        "predecessor": place.predecessor,
    }


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _started() -> str:
    """When this process began, in the system's ticks; empty where it does not tell."""
    try:
        return Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _id() -> str:
    return f"own_{secrets.token_hex(8)}"


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _sentence(data_dir: Path, error: OSError) -> str:
    why = error.strerror or str(error)
    return (
        f"the audit log in {data_dir / 'audit'} cannot be written ({why}), so nothing is done "
        "that must be audited; make room or mend the directory, and go on"
    )
