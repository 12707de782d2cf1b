"""What is left of a forgotten run: a signed statement with hashes, and no content."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from codetether_ray.core.errors import RunForgottenError, UnknownRunError
from codetether_ray.core.ids import is_run_id

TOMBSTONES = "tombstones"
_FIRST = "codetether-tombstone/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A run that was forgotten; `forgetting` while its parts are still being removed."""

    run_id: str
    state: Literal["forgetting", "forgotten"]
    forgotten_at: str
    """ISO 8601, UTC."""
    by: str
    stream_bytes: int = 0
    segments: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each segment's file, by name."""
    blobs: tuple[str, ...] = ()
    """SHA-256 of each big payload."""
    archive: str = ""
    """Where it was archived as well, and was removed from."""
    key: str = ""
    signature: str = ""

    def message(self) -> bytes:
        """What is signed: everything but the signature, as JSON with sorted names."""
        data = asdict(self)
        del data["signature"]
        return f"{_FIRST}\n{json.dumps(data, sort_keys=True)}\n".encode()


def tombstone_path(data_dir: Path, run_id: str) -> Path:
    """Where a run's tombstone is, or would be.

    Raises:
        UnknownRunError: the id has not the form of one.
    """
    if not is_run_id(run_id):
        raise UnknownRunError(run_id)
    return data_dir / TOMBSTONES / f"{run_id}.json"


def read_tombstone(data_dir: Path, run_id: str) -> Tombstone | None:
    """A run's tombstone; None if there is none."""
    try:
        data: dict[str, Any] = json.loads(tombstone_path(data_dir, run_id).read_bytes())
        return Tombstone(**{**data, "blobs": tuple(data.get("blobs", ()))})
    except (FileNotFoundError, UnknownRunError):
        return None
    except (ValueError, TypeError) as error:
        raise UnknownRunError(f"{run_id} (its tombstone is damaged: {error})") from error


def write_tombstone(data_dir: Path, tombstone: Tombstone) -> bytes:
    """Write it, flushed, in one step; return its bytes."""
    path = tombstone_path(data_dir, tombstone.run_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = json.dumps(asdict(tombstone), indent=1, sort_keys=True).encode() + b"\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return data


def refuse_forgotten(data_dir: Path, run_id: str) -> None:
    """Say so where a run was forgotten; nothing where not.

    Raises:
        RunForgottenError: when, and by whom.
    """
    tombstone = read_tombstone(data_dir, run_id)
    if tombstone is not None:
        raise RunForgottenError(run_id, tombstone.forgotten_at, tombstone.by)
