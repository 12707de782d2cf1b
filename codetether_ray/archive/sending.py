"""Sends one thing and believes it only when it was read back."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from codetether_ray.archive.ledger import Kept
from codetether_ray.archive.store import AlreadyThereError, ObjectStore
from codetether_ray.core import failpoints
from codetether_ray.core.errors import ArchiveError, ArchiveUnreachableError

_Belief = Literal["none", "confirmed", "read back"]
_TRIES = 3
"""How often something that comes back damaged is sent."""


def send(
    store: ObjectStore,
    key: str,
    source: Path | bytes,
    *,
    name: str,
    start: int = 0,
    end: int = 0,
    replace: bool = False,
    is_checked: bool = True,
    clock: Callable[[], float] = time.time,
) -> Kept:
    """Store `source` under `key` and return the fact for the ledger, where it is called `name`.

    An object of the same content is success. `is_checked` False believes a store that confirms
    the checksum itself, and reads back from others.

    Raises:
        ArchiveUnreachableError: not now; a later try may do.
        ArchiveError: the name is taken by something else, or the store keeps damaging it.
    """
    digest, size = _weigh(source)
    belief = _upload(store, key, source, digest, replace=replace)
    failpoints.hit("archive.uploaded")
    if belief == "none" or (is_checked and belief == "confirmed"):
        _check(store, key, source, digest)
    failpoints.hit("archive.verified")
    return Kept(name=name, sha256=digest, size=size, at=clock(), start=start, end=end)


def is_there(store: ObjectStore, key: str, sha256: str) -> bool:
    """Whether an object reads back as it should."""
    return store.read(key, _ignore) == sha256


def _upload(
    store: ObjectStore, key: str, source: Path | bytes, digest: str, *, replace: bool
) -> _Belief:
    try:
        return _belief(store.put(key, source, digest, replace=replace))
    except AlreadyThereError:
        found = store.read(key, _ignore)
    if found == digest:
        return "read back"
    if found is not None and store.promised(key) != digest:
        raise ArchiveError(
            f"{key} in the archive {store.place} is something else than what is here: another "
            "installation may use the same bucket and prefix; nothing was overwritten"
        )
    return _belief(store.put(key, source, digest, replace=True))  # ours, and damaged there


def _belief(is_confirmed: bool) -> _Belief:
    return "confirmed" if is_confirmed else "none"


def _check(store: ObjectStore, key: str, source: Path | bytes, digest: str) -> None:
    for _ in range(_TRIES):
        if is_there(store, key, digest):
            return
        store.put(key, source, digest, replace=True)
    if not is_there(store, key, digest):
        raise ArchiveUnreachableError(store.place, f"{key} reads back damaged every time")


def _weigh(source: Path | bytes) -> tuple[str, int]:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest(), len(source)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _ignore(_: bytes) -> None:
    """Only the digest is wanted."""
