"""Big payloads beside the stream: `blobs/<sha256>` holds one's JSON, written before its line."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.failpoints import hit
from codetether_ray.disk.files import Disk, write_all

BLOBS = "blobs"
INLINE_BYTES = 64 * 1024
"""A payload whose JSON is longer goes to a blob."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes named by their SHA-256 in hex."""

    digest: str
    data: bytes


class BlobError(ValueError):
    """A blob is missing or is not what its name says."""


def make_blob(data: bytes) -> Blob:
    """Name `data`."""
    return Blob(hashlib.sha256(data).hexdigest(), data)


def blob_path(directory: Path, digest: str) -> Path:
    """Where a run keeps a blob.

    Raises:
        BlobError: `digest` is no SHA-256.
    """
    if not _SHA256.fullmatch(digest):
        raise BlobError(f"{digest!r} is no SHA-256")
    return directory / BLOBS / digest


def store_blob(disk: Disk, directory: Path, blob: Blob) -> None:
    """Write and flush a blob unless it is there; the caller flushes the directory.

    Raises:
        OSError: the disk refused.
    """
    path = blob_path(directory, blob.digest)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if disk.exists(path):
        return
    unfinished = path.with_name(f"{blob.digest}.{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)
    file = disk.create(unfinished)
    try:
        write_all(file, blob.data)
        file.sync()
    except OSError:
        unfinished.unlink(missing_ok=True)  # it would take room that the run needs to end well
        raise
    finally:
        file.close()
    disk.rename(unfinished, path)
    hit("blob.stored")


def load_blob(
    directory: Path, digest: str, fetch: Callable[[str], bytes | None] | None = None
) -> bytes:
    """The bytes of a blob, checked; `fetch` is asked for one that is not here.

    Raises:
        BlobError: it is missing or damaged.
    """
    path = blob_path(directory, digest)
    try:
        data = path.read_bytes()
    except OSError as error:
        fetched = fetch(digest) if fetch is not None else None
        if fetched is None:
            raise BlobError(f"its blob {digest} cannot be read ({error.strerror})") from error
        data = fetched
    if hashlib.sha256(data).hexdigest() != digest:
        raise BlobError(f"its blob {digest} is damaged")
    return data
