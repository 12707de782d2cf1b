"""A roll-up: a signed statement of how chains ended whose files are gone.

It keeps a directory of thousands of old chains short. Nobody can read their lines any more, except
from the archive; `verify` still holds what others say of them against it.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codetether_ray.audit.checkpoint import write_whole
from codetether_ray.audit.keys import Signer, is_signed
from codetether_ray.audit.places import ROLL_UP, checkpoint_dir

_FIRST = "codetether-audit-rollup/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A chain had `count` lines, the last of which hashes to `head`."""

    chain: str
    count: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUp:
    """Chains of the node `origin` that were retired together."""

    origin: str
    time: str
    chains: tuple[Ended, ...]
    key: str = ""
    signature: str = ""

    def message(self) -> bytes:
        """What is signed: one chain a line."""
        lines = [f"{ended.chain} {ended.count} {ended.head}" for ended in self.chains]
        return "\n".join([_FIRST, self.origin, self.time, *lines, self.key, ""]).encode()

    def is_of(self, public: bytes) -> bool:
        """Whether the key `public` signed it."""
        return is_signed(self.message(), self.signature, public)

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RollUp":
        """Read `to_json`'s form.

        Raises:
            ValueError: it is no roll-up.
        """
        try:
            chains = tuple(_ended(one) for one in data["chains"])
            words = {name: data[name] for name in ("origin", "time", "key", "signature")}
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from error
        if any(not isinstance(word, str) for word in words.values()):
            raise ValueError("a member has the wrong type")
        made = cls(chains=chains, **words)
        made.message()  # refuses what is no Unicode
        return made


def _ended(data: Mapping[str, Any]) -> Ended:
    ended = Ended(chain=data["chain"], count=data["count"], head=data["head"])
    if not (isinstance(ended.chain, str) and isinstance(ended.head, str)):
        raise ValueError("a member has the wrong type")
    if type(ended.count) is not int:
        raise ValueError("a count is no number")
    return ended


def signed_roll_up(signer: Signer, *, origin: str, time: str, chains: tuple[Ended, ...]) -> RollUp:
    """A roll-up with its signature."""
    bare = RollUp(origin=origin, time=time, chains=chains, key=signer.key_id)
    signature = signer.sign(bare.message()).signature
    return RollUp(origin=origin, time=time, chains=chains, key=signer.key_id, signature=signature)


def keep_roll_up(data_dir: Path, made: RollUp) -> Path:
    """Write a roll-up's file; durable on return.

    Raises:
        OSError: it could not be written.
    """
    directory = checkpoint_dir(data_dir, made.origin)
    path = directory / f"{ROLL_UP}{secrets.token_hex(8)}.json"
    write_whole(path, json.dumps(made.to_json()).encode() + b"\n")
    return path


def kept_roll_ups(data_dir: Path, node: str) -> list[Path]:
    """The roll-ups of a node."""
    return sorted(checkpoint_dir(data_dir, node).glob(f"{ROLL_UP}*.json"))


def read_roll_up(path: Path) -> RollUp:
    """A roll-up's file.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    try:
        return RollUp.from_json(json.loads(path.read_bytes()))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
