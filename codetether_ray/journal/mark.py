"""The durable mark: how far a run's stream had been flushed, kept apart from the stream.

Two slots of 64 bytes are written in turn after each flush, themselves unflushed: whatever of it
survives is a lower bound, and a stream shorter than that has lost acknowledged records.
"""

import zlib
from pathlib import Path

from codetether_ray.disk.files import Disk
from codetether_ray.journal.lines import Position

MARK = "mark"
_SLOT = 64


def mark_path(directory: Path) -> Path:
    """The file."""
    return directory / MARK


def write_mark(disk: Disk, directory: Path, position: Position, turn: int) -> None:
    """Note that everything before `position` is durable; `turn` alternates the slots."""
    text = f"{position.off:020} {position.seq:012} {position.prev}".encode()
    slot = b"%s %08x" % (text, zlib.crc32(text))
    disk.write_at(mark_path(directory), (turn % 2) * _SLOT, slot.ljust(_SLOT - 1) + b"\n")


def read_mark(directory: Path) -> Position | None:
    """The farthest valid slot; None if there is none."""
    try:
        data = mark_path(directory).read_bytes()
    except FileNotFoundError:
        return None
    slots = [_read_slot(data[i : i + _SLOT]) for i in (0, _SLOT)]
    return max((s for s in slots if s), key=lambda p: p.off, default=None)


def _read_slot(slot: bytes) -> Position | None:
    words = slot.split()
    if len(words) != 4 or b"%08x" % zlib.crc32(b" ".join(words[:3])) != words[3]:
        return None
    return Position(int(words[1]), int(words[0]), words[2].decode())
