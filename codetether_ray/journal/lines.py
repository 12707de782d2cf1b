r"""The line format, version 1: plain JSON that finds its own damage.

    {"v":1,"seq":812,"off":104233,"gen":7,"prev":"<16 hex>", …members…, "crc":"<8 hex>"}\n

`crc` is always the last member and covers the bytes before `,"crc"`, so it is checked by cutting
bytes, never by writing JSON again. `off` is the line's own byte offset in the run's stream, `gen`
the writer's generation, and `prev` the first 16 hex digits of the SHA-256 of the line before it
(without its newline). `seq` is dense over records; a control line (one of `CONTROL`) bears the
number that the next record will get and uses none up.
"""

import hashlib
import json
import re
import zlib
from typing import Any, NamedTuple

VERSION = 1
NO_LINE = "0" * 16
"""The `prev` of a run's first line."""

OPENED = "segment.opened"
SEALED = "segment.sealed"
STOPPED = "journal.stopped"
"""Why the writer had to stop: the last line of a run whose disk was full."""
CONTROL = frozenset({OPENED, SEALED, STOPPED})

_crc32, _sha256 = zlib.crc32, hashlib.sha256
_TAIL = len(',"crc":"00000000"}')
_BEFORE_CRC = b',"crc":"'


class LineError(ValueError):
    """A line is not what it should be; the message says how."""


class Position(NamedTuple):
    """Where a stream stands: the next record's number, the next byte, the last line's hash."""

    seq: int = 0
    off: int = 0
    prev: str = NO_LINE


class Head(NamedTuple):
    """What is before the payload: enough to place a line, without reading its JSON."""

    seq: int
    off: int
    gen: int
    prev: str
    agent: str
    agent_seq: int
    """-1 in a control line."""
    kind: str


def frame(position: Position, generation: int, members: str) -> bytes:
    """The line at `position` whose own members are the JSON text `members` (without braces).

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    seq, off, prev = position
    return frame_at(seq, off, prev, generation, members)[0]


def frame_at(seq: int, off: int, prev: str, generation: int, members: str) -> tuple[bytes, str]:
    """`frame` from plain values, and the line's own hash: for a stream, which passes every line.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    body = (
        f'{{"v":{VERSION},"seq":{seq},"off":{off},"gen":{generation},"prev":"{prev}",{members}'
    ).encode()
    whole = b'%b,"crc":"%08x"}' % (body, _crc32(body))
    return whole + b"\n", _sha256(whole).digest()[:8].hex()


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
    _check_sum(line)
    try:
        data = json.loads(line)
    except ValueError as error:
        raise LineError(f"it is not JSON ({error})") from error
    if data.get("v") != VERSION:
        raise LineError(f"its version is {data.get('v')!r}; this program reads {VERSION}")
    return data  # type: ignore[no-any-return]


def read_head(line: bytes) -> Head:
    """Check a line's checksum and version, and read what is before its payload.

    Our own lines are read without a JSON parser: the members stand in a known order, and a quote
    within a text is escaped, so that no text can look like a member.

    Raises:
        LineError: the bytes are not a whole, undamaged line of a version known here.
    """
    frame_ = _FRAME.match(line)
    own = None if frame_ is None else _OWN.search(line, frame_.end())
    if frame_ is None or own is None:
        return _head_of(parse(line))
    _check_sum(line)
    agent = own[2].decode()
    if "\\" in agent:
        agent = str(json.loads(f'"{agent}"'))
    return Head(
        int(frame_[1]),
        int(frame_[2]),
        int(frame_[3]),
        frame_[4].decode(),
        agent,
        -1 if own[1] is None else int(own[1]),
        own[3].decode(),
    )


def _head_of(data: dict[str, Any]) -> Head:
    try:
        return Head(
            data["seq"],
            data["off"],
            data["gen"],
            data["prev"],
            data["agent"],
            data.get("agent_seq", -1),
            data["kind"],
        )
    except KeyError as error:
        raise LineError(f"a member is missing or wrong ({error})") from error


_FRAME = re.compile(rb'\{"v":1,"seq":(\d+),"off":(\d+),"gen":(\d+),"prev":"([0-9a-f]{16})",')
_OWN = re.compile(
    rb'(?:"agent_seq":(\d+),)?"time":[^,"]+,"agent":"((?:[^"\\]|\\.)*)","kind":"([^"\\]+)",'
)


def _check_sum(line: bytes) -> None:
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if not (tail.startswith(_BEFORE_CRC) and tail.endswith(b'"}')):
        raise LineError("it does not end with a checksum")
    if tail[len(_BEFORE_CRC) : -2] != b"%08x" % zlib.crc32(body):
        raise LineError("its checksum is wrong")


def check_place(data: dict[str, Any], position: Position) -> None:
    """Check that a parsed line belongs at `position`.

    Raises:
        LineError: it is a line of another place.
    """
    for name, wanted in (("off", position.off), ("seq", position.seq), ("prev", position.prev)):
        _check_member(name, data.get(name), wanted)


def check_head(head: Head, position: Position) -> None:
    """`check_place` of a head.

    Raises:
        LineError: it is a line of another place.
    """
    if (head.off, head.seq, head.prev) != (position.off, position.seq, position.prev):
        _check_member("off", head.off, position.off)
        _check_member("seq", head.seq, position.seq)
        _check_member("prev", head.prev, position.prev)


def _check_member(name: str, value: object, wanted: object) -> None:
    if value != wanted:
        raise LineError(f"its {name} is {value!r} where {wanted!r} belongs")
