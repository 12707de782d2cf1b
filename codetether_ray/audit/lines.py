r"""The line format, version 1: plain JSON in which each line names the one before.

    {"v":1,"chain":"<id>","n":7,"prev":"<64 hex>", …members…, "crc":"<8 hex>"}\n

`n` is dense from 0, `prev` the SHA-256 of the bytes of the line before (without its newline; zeros
for the first). `crc` is the last member and covers the bytes before `,"crc"`: it finds damage,
the chain proves order and content. A node's index has the same form, under the name `index`.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

VERSION = 1
NO_LINE = "0" * 64
"""The `prev` of a first line."""

_TAIL = len(',"crc":"00000000"}')


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many lines it has, and the hash of the last one."""

    count: int = 0
    hash: str = NO_LINE


def opening(chain: str, head: Head) -> bytes:
    """How the line behind `head` begins."""
    return b'{"v":%d,"chain":"%s","n":%d,"prev":"%s",' % (
        VERSION,
        chain.encode(),
        head.count,
        head.hash.encode(),
    )


def frame(chain: str, head: Head, members: str) -> bytes:
    """The line behind `head` whose own members are the JSON text `members` (without braces).

    A lone surrogate, which UTF-8 cannot hold, becomes a question mark.
    """
    body = opening(chain, head) + members.encode("utf-8", "replace")
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def frame_all(chain: str, head: Head, texts: Iterable[str]) -> tuple[bytes, Head]:
    """The lines behind `head` one after the other, and the end of the chain behind them."""
    count, last, out = head.count, head.hash, []
    start = f'{{"v":{VERSION},"chain":"{chain}","n":'
    for text in texts:
        body = f'{start}{count},"prev":"{last}",{text}'.encode("utf-8", "replace")
        whole = b'%b,"crc":"%08x"}' % (body, zlib.crc32(body))
        count, last = count + 1, line_hash(whole)
        out.append(whole)
    out.append(b"")
    return b"\n".join(out), Head(count, last)


def line_hash(line: bytes) -> str:
    """What the next line's `prev` says of this one (given without its newline)."""
    return hashlib.sha256(line).hexdigest()


def after(head: Head, line: bytes) -> Head:
    """The end of the chain behind `line` (given with its newline)."""
    return Head(head.count + 1, line_hash(line[:-1]))


def is_whole(line: bytes) -> bool:
    """Whether a line (without newline) has the checksum that it ends with."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    return tail == b',"crc":"%08x"}' % zlib.crc32(body)


def parse(line: bytes) -> dict[str, Any] | None:
    """A line (without newline) as an object; None if it is none of this format."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):  # whoever tampers may nest as deep as he likes
        return None
    is_ours = isinstance(data, dict) and isinstance(data.get("n"), int) and "prev" in data
    return data if is_ours else None
