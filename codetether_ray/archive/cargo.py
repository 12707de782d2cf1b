"""What of a folder is to be sent: values that whoever knows the files makes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file that changes no more.

    `name` is where it goes below its folder; any of `names` in the archive will do (a segment may
    be there plain or compressed). `start` and `end` are its offsets in the stream.
    """

    name: str
    path: Path
    start: int = 0
    end: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The forms that hold the same."""
        plain = self.name.removesuffix(".gz")
        return (plain, f"{plain}.gz") if plain.endswith(".jsonl") else (self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing:
    """A file that only grows: pieces of it go out, each named by its offsets.

    `first` is the offset of its first byte in the stream, `end` how far the stream is on the disk
    for good. `room` is the folder of the pieces, `suffix` what tells writers apart.
    """

    path: Path
    room: str
    first: int
    end: int
    suffix: str = ""

    def piece(self, start: int, end: int) -> str:
        """The name of a piece."""
        return f"{self.room}/{start:020}-{end:020}{self.suffix}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """A small thing that is replaced as a whole: a manifest, a checkpoint."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """All of a folder, in the order in which it goes."""

    folder: str
    items: tuple[Item, ...] = ()
    growing: tuple[Growing, ...] = ()
    changing: tuple[Changing, ...] = ()
