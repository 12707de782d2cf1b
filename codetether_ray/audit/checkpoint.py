"""A checkpoint: a signed statement of how long a chain is and what its last line hashes to.

Written as a line of the chain and as a file apart from it, which is what an archive keeps: a chain
that was cut or rewritten afterwards does not agree with it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codetether_ray.audit.keys import Signer, is_signed
from codetether_ray.audit.lines import Head
from codetether_ray.audit.places import ROLL_UP, checkpoint_dir
from codetether_ray.core import failpoints
from codetether_ray.disk.files import RealDisk

_FIRST = "codetether-audit-checkpoint/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`count` lines of `chain`, the last of which hashes to `head`, ending at byte `size`."""

    origin: str
    """The node."""
    chain: str
    count: int
    head: str
    size: int
    time: str
    is_closing: bool = False
    """Whether the chain had ended then."""
    key: str = ""
    signature: str = ""

    def message(self) -> bytes:
        """What is signed: one member a line."""
        state = "closed" if self.is_closing else "open"
        words = (self.origin, self.chain, self.count, self.head, self.size, self.time, state)
        return "\n".join([_FIRST, *map(str, words), self.key, ""]).encode()

    def is_of(self, public: bytes) -> bool:
        """Whether the key `public` signed it."""
        return is_signed(self.message(), self.signature, public)

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Checkpoint":
        """Read `to_json`'s form.

        Raises:
            ValueError: it is no checkpoint.
        """
        kinds = {"count": int, "size": int, "is_closing": bool}
        try:
            values = {name: data[name] for name in cls.__dataclass_fields__}
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from error
        if any(not isinstance(value, kinds.get(name, str)) for name, value in values.items()):
            raise ValueError("a member has the wrong type")
        point = cls(**values)
        point.message()  # refuses what is no Unicode
        return point


def signed(
    signer: Signer, *, origin: str, chain: str, head: Head, size: int, time: str, is_closing: bool
) -> Checkpoint:
    """A checkpoint with its signature."""
    bare = Checkpoint(
        origin=origin,
        chain=chain,
        count=head.count,
        head=head.hash,
        size=size,
        time=time,
        is_closing=is_closing,
        key=signer.key_id,
    )
    signature = signer.sign(bare.message()).signature
    return Checkpoint(**{**bare.to_json(), "signature": signature})


def keep(data_dir: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint's own file; durable on return, and never seen half written.

    Raises:
        OSError: it could not be written.
    """
    directory = checkpoint_dir(data_dir, checkpoint.origin)
    path = directory / f"{checkpoint.chain}-{checkpoint.count:012}.json"
    write_whole(path, json.dumps(checkpoint.to_json()).encode() + b"\n")
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that nobody sees half written; durable on return, its name as well.

    Raises:
        OSError: it could not be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    failpoints.hit("audit.checkpoint_drafted")
    draft.replace(path)
    failpoints.hit("audit.checkpoint_renamed")
    RealDisk().sync_directory(path.parent)


def kept(data_dir: Path, node: str) -> dict[str, list[Path]]:
    """The checkpoint files of a node by chain, oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(checkpoint_dir(data_dir, node).glob("*.json")):
        if path.name.startswith(ROLL_UP):
            continue
        found.setdefault(path.stem.rpartition("-")[0], []).append(path)
    return found


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint's own file.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    try:
        return Checkpoint.from_json(json.loads(path.read_bytes()))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
