"""What the archive asks of an object store. Every call blocks; threads may share one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from codetether_ray.core.errors import ArchiveError


class AlreadyThereError(ArchiveError):
    """An object has that name; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object in the store: its name below the prefix, and its size in bytes."""

    name: str
    size: int


class ObjectStore(Protocol):
    """Keeps bytes by name. Names are relative to the place's prefix.

    Every call raises `ArchiveUnreachableError` where it may work later, `ArchiveError` where not.
    """

    @property
    def place(self) -> str:
        """Where this is, for people."""
        ...

    def put(self, name: str, source: Path | bytes, sha256: str, *, replace: bool = False) -> bool:
        """Store an object; whether the store confirmed its SHA-256 by itself.

        Raises:
            AlreadyThereError: the name is taken and `replace` is not asked for.
        """
        ...

    def read(self, name: str, sink: Callable[[bytes], object]) -> str | None:
        """Feed an object's bytes to `sink`; their SHA-256 in hex, None if there is no object."""
        ...

    def promised(self, name: str) -> str | None:
        """The SHA-256 that an object's uploader named; None if there is no object or no such."""
        ...

    def stored(self, below: str) -> Iterator[Stored]:
        """The objects whose name begins with `below`, by name."""
        ...

    def delete(self, names: list[str]) -> None:
        """Take objects away; those that are not there are no error."""
        ...

    def wipe(self, below: str) -> int:
        """Take away every version of every object whose name begins with `below`; how many."""
        ...
