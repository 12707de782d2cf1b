"""Brings a folder back from the archive: every object checked against the digest it was sent with.

The pieces of a stream's unsealed end become one file again. Where pieces of two writers overlap,
those of the later generation hold: the earlier writer was fenced off before anything of it there
was acknowledged.
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.archive.store import ObjectStore
from codetether_ray.core.errors import ArchiveError

_SEALED = re.compile(r"(\d{8}T\d{6}Z-chat-events-(\d{20})-(\d{20})\.jsonl)(?:\.gz)?")
_PIECE = re.compile(r"tail/(\d{20})-(\d{20})-g(\d+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a stream in the archive."""

    name: str
    start: int
    end: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed segment in the archive; `plain` is its name without a sign of compression."""

    name: str
    plain: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An object that is here now."""

    name: str
    size: int
    sha256: str


def download(store: ObjectStore, key: str, target: Path) -> Fetched | None:
    """One object into a new file, checked; None if there is no such object.

    Raises:
        ArchiveError: what is there is not what was sent.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            digest = store.read(key, file.write)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if digest is None:
            return None
        promised = store.promised(key)
        if promised is not None and promised != digest:
            raise ArchiveError(f"{key} in the archive {store.place} is damaged; nothing was used")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return Fetched(name=key, size=size, sha256=digest)


def find_pieces(names: Iterable[str]) -> list[Piece]:
    """The pieces among a folder's names."""
    found = ((name, _PIECE.fullmatch(name)) for name in names)
    return [
        Piece(name=name, start=int(m[1]), end=int(m[2]), generation=int(m[3]))
        for name, m in found
        if m
    ]


def find_sealed(names: Iterable[str]) -> list[Sealed]:
    """The sealed segments among a folder's names, by start."""
    found = ((name, _SEALED.fullmatch(name)) for name in names)
    out = [Sealed(name=name, plain=m[1], start=int(m[2]), end=int(m[3])) for name, m in found if m]
    return sorted(out, key=lambda s: (s.start, s.name))


def join_pieces(
    read: Callable[[str], bytes], pieces: list[Piece], start: int
) -> tuple[bytes, list[Piece]]:
    """The stream from `start` on as far as pieces reach, and which pieces made it."""
    out, used, at = bytearray(), list[Piece](), start
    while True:
        here = [p for p in pieces if p.start <= at < p.end]
        if not here:
            return bytes(out), used
        piece = max(here, key=lambda p: (p.generation, p.end))
        data = read(piece.name)
        if len(data) != piece.end - piece.start:
            raise ArchiveError(f"{piece.name} in the archive has not the length that its name says")
        out += data[at - piece.start :]
        used.append(piece)
        at = piece.end


def read_whole(store: ObjectStore, key: str) -> bytes:
    """A small object, checked.

    Raises:
        ArchiveError: it is not there, or damaged.
    """
    out = bytearray()
    digest = store.read(key, out.extend)
    if digest is None:
        raise ArchiveError(f"{key} is not in the archive {store.place}")
    promised = store.promised(key)
    if promised is not None and promised != digest:
        raise ArchiveError(f"{key} in the archive {store.place} is damaged")
    return bytes(out)


def missing_of(manifest: bytes, names: set[str]) -> list[str]:
    """What a folder's manifest lists and the archive does not hold in any form."""
    listed = json.loads(manifest).get("items", [])
    return [
        name
        for name in listed
        if name not in names and f"{name}.gz" not in names and name.removesuffix(".gz") not in names
    ]
