r"""The line format, version 1: plain JSON that finds its own damage.

    {"v":1,"seq":812,"off":104233,"gen":7,"prev":"<16 hex>", …members…, "crc":"<8 hex>"}\n

`crc` is always the last member and covers the bytes before `,"crc"`, so it is checked by cutting
bytes, never by writing JSON again. `off` is the line's own byte offset in the run's stream, `gen`
the writer's generation, and `prev` the first 16 hex digits of the SHA-256 of the line before it
(without its newline). `seq` is dense over records; a control line (`segment.opened`,
`segment.sealed`) bears the number that the next record will get and uses none up.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

VERSION = 1
NO_LINE = "0" * 16
"""The `prev` of a run's first line."""

OPENED = "segment.opened"
SEALED = "segment.sealed"
CONTROL = frozenset({OPENED, SEALED})

_TAIL = len(',"crc":"00000000"}')
_BEFORE_CRC = b',"crc":"'


class LineError(ValueError):
    """A line is not what it should be; the message says how."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stream stands: the next record's number, the next byte, the last line's hash."""

    seq: int = 0
    off: int = 0
    prev: str = NO_LINE


def frame(position: Position, generation: int, members: str) -> bytes:
    """The line at `position` whose own members are the JSON text `members` (without braces).

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    body = (
        f'{{"v":{VERSION},"seq":{position.seq},"off":{position.off},'
        f'"gen":{generation},"prev":"{position.prev}",{members}'
    ).encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def line_hash(line: bytes) -> str:
    """What the next line's `prev` says of this one (given without its newline)."""
    return hashlib.sha256(line).hexdigest()[:16]


def after(position: Position, line: bytes, *, is_control: bool) -> Position:
    """Where the stream stands behind `line` (given with its newline)."""
    seq = position.seq if is_control else position.seq + 1
    return Position(seq, position.off + len(line), line_hash(line[:-1]))


def parse(line: bytes) -> dict[str, Any]:
    """Check a line's checksum and version, and read it. `line` has no newline.

    Raises:
        LineError: the bytes are not a whole, undamaged line of a version known here.
    """
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if not (tail.startswith(_BEFORE_CRC) and tail.endswith(b'"}')):
        raise LineError("it does not end with a checksum")
    if tail[len(_BEFORE_CRC) : -2] != b"%08x" % zlib.crc32(body):
        raise LineError("its checksum is wrong")
    try:
        data = json.loads(line)
    except ValueError as error:
        raise LineError(f"it is not JSON ({error})") from error
    if data.get("v") != VERSION:
        raise LineError(f"its version is {data.get('v')!r}; this program reads {VERSION}")
    return data  # type: ignore[no-any-return]


def check_place(data: dict[str, Any], position: Position) -> None:
    """Check that a parsed line belongs at `position`.

    Raises:
        LineError: it is a line of another place.
    """
    for name, wanted in (("off", position.off), ("seq", position.seq), ("prev", position.prev)):
        if data.get(name) != wanted:
            raise LineError(f"its {name} is {data.get(name)!r} where {wanted!r} belongs")
