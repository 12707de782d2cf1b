"""Commits on their way from one repository to another that shares no disk with it.

A `Parcel` is a thin pack: what leads to the wanted commits, less what the other side has. It goes
in pieces of at most `PIECE_BYTES` into a `Box` there, and is taken in once it is whole and its
digest is right: then every object that the wanted commits need is looked for, and only after
that may a ref name them. What is cut off before leaves no ref and nothing that is half.
"""

import asyncio
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import Git

PIECE_BYTES = 16_000_000
"""What is in memory at once, and in one call: Ray keeps such values outside its heap."""

_LOOSE = 100  # as `fetch.unpackLimit`: fewer objects are not worth a pack of their own
_HEADER = 12
_STALE_S = 3600.0
_HAVES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A pack in a file. `objects` is how many are in it."""

    path: Path
    size: int
    digest: str
    """SHA-256, in hexadecimal digits."""
    objects: int

    def drop(self) -> None:
        """Take the file away."""
        self.path.unlink(missing_ok=True)


async def pack(git: Git, wanted: Sequence[str], have: Sequence[str], folder: Path) -> Parcel:
    """Pack what leads to the commits `wanted`, less all that leads to `have`, into `folder`.

    All of them must be here (see `present`). Memory stays flat.

    Raises:
        WorkspaceError: git refuses, or the folder cannot be written.
    """
    lines = [*dict.fromkeys(wanted), *(f"^{oid}" for oid in dict.fromkeys(have) if oid)]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{folder} cannot be made: {error}") from error
    path = folder / f"out-{os.getpid()}-{secrets.token_hex(6)}"
    try:
        await git.run(
            "pack-objects", "-q", "--revs", "--thin", "--stdout", "--delta-base-offset",
            stdin="".join(f"{line}\n" for line in lines).encode(), target=path,
        )  # fmt: skip
        return await asyncio.to_thread(_parcel, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def present(git: Git, oids: Sequence[str]) -> tuple[str, ...]:
    """Those commits that are in a repository."""
    asked = tuple(dict.fromkeys(oids))
    if not asked:
        return ()
    out = await git.run(
        "cat-file", "--batch-check", stdin="".join(f"{o}\n" for o in asked).encode()
    )
    lines = out.stdout.decode("ascii", "replace").splitlines()
    return tuple(line.split(" ", 1)[0] for line in lines if line.split(" ")[1:2] == ["commit"])


async def is_whole(git: Git, commit: str, known: Sequence[str]) -> bool:
    """Whether all that a commit needs is there, which is known of `known`."""
    out = await git.run(
        "rev-list", "--objects", "--quiet", "--stdin",
        stdin="".join(f"{line}\n" for line in (commit, *(f"^{oid}" for oid in known))).encode(),
        allow=(0, 1, 128),
    )  # fmt: skip
    return out.code == 0


async def tips(git: Git, *patterns: str) -> tuple[str, ...]:
    """The commits that refs name, the newest first; enough to tell what need not travel."""
    out = await git.text(
        "for-each-ref", "--format=%(objectname)", "--sort=-committerdate",
        f"--count={_HAVES}", *patterns,
    )  # fmt: skip
    return tuple(dict.fromkeys(out.splitlines()))


async def take_in(
    git: Git, path: Path, wanted: Sequence[str], have: Sequence[str]
) -> tuple[str, ...]:
    """Bring a pack's objects into a repository, flushed; return those that are new.

    `have`: commits that are complete here; what they need is not looked for again.

    Raises:
        WorkspaceError: the pack is broken, or does not hold all that `wanted` needs.
    """
    count = await asyncio.to_thread(_count, path)
    if count:
        how = (
            ("unpack-objects", "-q") if count < _LOOSE else ("index-pack", "--stdin", "--fix-thin")
        )
        await git.run(*how, source=path, durable=True)
    lines = [*dict.fromkeys(wanted), *(f"^{oid}" for oid in dict.fromkeys(have) if oid)]
    out = await git.run(
        "rev-list", "--objects", "--no-object-names", "--stdin",
        stdin="".join(f"{line}\n" for line in lines).encode(), allow=(0, 1, 128),
    )  # fmt: skip
    if out.code:
        raise WorkspaceError(f"what came is not complete: {out.stderr.strip()[:300]}")
    return tuple(out.text.split())


async def send(parcel: Parcel, put: Callable[[int, bytes], Awaitable[object]]) -> None:
    """Hand a parcel over in pieces; `put` gets each with its offset."""
    offset = 0
    while offset < parcel.size or not offset:
        data = await asyncio.to_thread(read_piece, parcel.path, offset)
        await put(offset, data)
        offset += len(data)
        if not data:
            return


def read_piece(path: Path, offset: int) -> bytes:
    """The piece of a file that begins at `offset`; empty behind its end."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)


class Boxes:
    """Packs that are coming in, below one folder; what was left half is thrown away in time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self) -> str:
        """The name of an empty box.

        Raises:
            WorkspaceError: it cannot be made.
        """
        name = secrets.token_hex(8)
        self.put(name, 0, b"")
        return name

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Add a piece; one that came before (its answer was lost) is passed over.

        Raises:
            WorkspaceError: a piece before it is missing, or the disk is full.
        """
        path = self.path(name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not offset:
                self.sweep()
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                size = file.seek(0, os.SEEK_END)
                if offset > size:
                    raise WorkspaceError(f"a piece is missing: {size} bytes came, not {offset}")
                if offset + len(data) > size:
                    file.seek(offset)
                    file.write(data)
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be written: {error.strerror}") from error

    def close(self, name: str, digest: str = "") -> Path:
        """The whole pack as a file, which the caller takes away.

        Raises:
            WorkspaceError: it is not what was sent.
        """
        path = self.path(name)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest() if digest else ""
        except OSError as error:
            raise WorkspaceError(f"nothing came as {name}: {error.strerror}") from error
        if found != digest:
            path.unlink(missing_ok=True)
            raise WorkspaceError("a pack was damaged on its way; it is sent again")
        return path

    def path(self, name: str) -> Path:
        """Where a box is.

        Raises:
            WorkspaceError: that is no name of a box.
        """
        if not re.fullmatch(r"[0-9a-f-]{8,64}", name):
            raise WorkspaceError(f"{name!r} names no box")
        return self._folder / name

    def sweep(self) -> None:
        """Throw away what nobody has added to for an hour."""
        for path in self._folder.iterdir():
            try:
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()
            except OSError:
                continue


async def clear_unfinished(objects: Path) -> None:
    """Take away packs that a killed git left half (`tmp_pack_…`, in no use after an hour)."""

    def clear() -> None:
        for place in (*objects.glob("pack/tmp_*"), *objects.glob("tmp_objdir-*")):
            try:
                if time.time() - place.stat().st_mtime < _STALE_S:
                    continue
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink()
            except OSError:
                continue

    await asyncio.to_thread(clear)


def _parcel(path: Path) -> Parcel:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Parcel(path=path, size=path.stat().st_size, digest=digest, objects=_count(path))


def _count(path: Path) -> int:
    """How many objects a pack says that it holds.

    Raises:
        WorkspaceError: it is no pack.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if len(header) < _HEADER or header[:4] != b"PACK":
        raise WorkspaceError("what came is no pack")
    return int.from_bytes(header[8:12])
