"""A copy of some of a head's files in this user's cache, so that all that reads files can read it.

`<cache>/clusters/<id of the data directory>/…`. Only new bytes travel: a file grows at its end, and
what is here already must be how it begins there, by its last bytes or, where everything counts, by
its hash. Payloads that were put aside (blobs) are brought when they are read.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from codetether_ray.bootstrap.truth.pieces import LISTING, PIECE, Held, Piece, digest
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.segments import GZIP

_CHECKED_BYTES = 4096
"""Of what is here, compared before more is put behind it."""
_BLOBS = "blobs"
_OPEN = "-open.jsonl"


async def mirrored(truth: Truth, cache: Path, run_id: str, *, is_exact: bool = False) -> Path:
    """A data directory that holds the run: the truth's own, or a mirror brought up to date.

    `is_exact`: every byte that is here is compared with what is there.

    Raises:
        ClusterError: the head does not answer.
    """
    return await asyncio.to_thread(bring, truth, cache, f"events/{run_id}", is_exact=is_exact)


def bring(truth: Truth, cache: Path, room: str, *, is_exact: bool = False) -> Path:
    """A data directory with what is in `room` (`events/RUN`, `audit`) there; it blocks."""
    if truth.is_here:
        return truth.data_dir
    root = mirror_root(truth, cache)
    with _turn(root, room):
        held: list[Held] = truth.ask_now(LISTING, room)
        wanted = {one.path: one for one in held if f"/{_BLOBS}/" not in one.path}
        _adopt(root, room, wanted)
        for one in wanted.values():
            if not _is_here_as_plain(root, one):
                _bring_file(truth, root, one, is_exact=is_exact)
        _drop(root, room, wanted)
    return root


def mirror_root(truth: Truth, cache: Path) -> Path:
    """Where the mirror of a truth is."""
    return cache / "clusters" / truth.id


def fetcher(truth: Truth, cache: Path, archived: Fetch) -> Fetch:
    """Fetches what a mirror lacks from the head, and what that lacks from the archive."""
    if truth.is_here:
        return archived
    root = mirror_root(truth, cache)

    def fetch(run_id: str, name: str, target: Path) -> bool:
        held = Held(path=f"events/{run_id}/{name}", size=-1)
        if not _bring_file(truth, root, held, is_exact=False):
            return archived(run_id, name, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / held.path, target)
        return True

    return fetch


def _bring_file(truth: Truth, root: Path, one: Held, *, is_exact: bool) -> bool:
    """Bring a file up to date; False if it is not there (any more)."""
    path = root / one.path
    start = path.stat().st_size if path.exists() else 0
    if one.size >= 0 and start > one.size:
        start = 0
    is_growing = path.suffix == ".jsonl"
    if not is_growing and not is_exact and not _is_sealed(path):
        start = 0  # replaced as a whole
    if start == one.size and _is_sealed(path) and not is_exact:
        return True
    known_from = 0 if is_exact or not is_growing else max(0, start - _CHECKED_BYTES)
    while True:
        known = digest(path, known_from) if start else ""
        found: Piece = truth.ask_now(PIECE, one.path, start, known_from, known)
        if not found.fits and start == 0:
            return False
        if not found.fits:
            start = known_from = 0
            path.unlink(missing_ok=True)
            continue
        _append(path, start, found.data)
        if found.is_last:
            return True
        start += len(found.data)
        known_from = max(0, start - _CHECKED_BYTES)


def _append(path: Path, start: int, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(data)


def _adopt(root: Path, room: str, wanted: dict[str, Held]) -> None:
    """A segment that was open and is sealed now has another name, and the same beginning."""
    for open_one in (root / room).glob(f"*{_OPEN}"):
        stem = f"{room}/{open_one.name.removesuffix('open.jsonl')}"
        sealed = [path for path in wanted if path.startswith(stem) and path.endswith(".jsonl")]
        if f"{stem}open.jsonl" not in wanted and len(sealed) == 1:
            open_one.rename(root / sealed[0])


def _is_here_as_plain(root: Path, one: Held) -> bool:
    """Whether a segment that was compressed meanwhile is here as it was before, complete."""
    if not one.path.endswith(f".jsonl{GZIP}"):
        return False
    plain = root / one.path.removesuffix(GZIP)
    start, _, end = plain.name.removesuffix(".jsonl").rpartition("-")
    if not plain.exists() or not end.isdigit():
        return False
    return plain.stat().st_size == int(end) - int(start.rpartition("-")[2])


def _is_sealed(path: Path) -> bool:
    """Whether a file never changes again: a segment with an end, a payload by its hash."""
    if path.parent.name == _BLOBS:
        return True
    return "-chat-events-" in path.name and not path.name.endswith(_OPEN)


def _drop(root: Path, room: str, wanted: dict[str, Held]) -> None:
    """Remove what is not there any more; a complete plain segment stays for its compressed form."""
    for path in (root / room).rglob("*"):
        below = path.relative_to(root).as_posix()
        kept = below in wanted or f"{below}{GZIP}" in wanted or path.parent.name == _BLOBS
        if path.is_file() and not kept:
            with suppress(FileNotFoundError):
                path.unlink()


@contextmanager
def _turn(root: Path, room: str) -> Iterator[None]:
    """One process at a time brings a room."""
    lock = root / "locks" / room.replace("/", "-")
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
