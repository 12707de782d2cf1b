"""The tool `read_file`: a file's lines, numbered."""

import codecs
import os
from collections.abc import Iterator
from typing import BinaryIO

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import existing
from codetether_ray.tools.paths import Place, open_file
from codetether_ray.tools.text import decode, picture_kind

_MOST_LINES = 2000
_LONGEST_LINE = 2000  # characters
_MOST_CHARACTERS = 60_000  # of one answer
_READ_WHOLE = 10_000_000  # bytes; a larger file is read line by line, as UTF-8
_SAMPLE = 8192  # bytes that tell what a file is
_HUGE_LINE = 1_000_000  # bytes read of a line in a large file


class ReadFileArgs(Arguments):
    """Read a text file; each line comes as "number | text"."""

    path: str
    offset: int = Field(default=1, ge=1, description="First line, from 1")
    limit: int = Field(default=_MOST_LINES, ge=1, description="Most lines")


async def read_file(args: ReadFileArgs, ctx: ToolContext) -> str:
    """The lines, and how to go on where there are more."""
    found = existing(ctx.root, args.path)
    if found.path.is_dir():
        raise ToolError(f"{found.relative} is a directory; use list_dir")
    with os.fdopen(open_file(found), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        sample = stream.read(_SAMPLE)
        _refuse_pictures(found, sample, size)
        if size > _READ_WHOLE:
            if b"\0" in sample and not sample.startswith(
                (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            ):
                raise ToolError(f"{found.relative} is a binary file of {size:,} bytes")
            stream.seek(0)
            return _page(_streamed(stream), args, None)
        text = decode(sample + stream.read())
    if text is None:
        raise ToolError(f"{found.relative} is a binary file of {size:,} bytes")
    lines = text.text.split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        return "(empty file)"
    if args.offset > len(lines):
        raise ToolError(f"{found.relative} has {len(lines)} lines; offset {args.offset} is past it")
    return _page(iter(lines[args.offset - 1 :]), args, len(lines))


def _refuse_pictures(found: Place, sample: bytes, size: int) -> None:
    kind = picture_kind(sample)
    if kind is not None:
        raise ToolError(
            f"{found.relative} is a {kind} picture of {size:,} bytes; this tool shows text only"
        )


def _streamed(stream: BinaryIO) -> Iterator[str]:
    while line := stream.readline(_HUGE_LINE):
        while not line.endswith(b"\n") and (rest := stream.readline(_HUGE_LINE)):
            if rest.endswith(b"\n"):
                break
        yield line.decode(errors="replace").removesuffix("\n")


def _page(lines: Iterator[str], args: ReadFileArgs, total: int | None) -> str:
    """Numbered lines; `lines` begin at the offset where the total is known, else at the top."""
    shown: list[str] = []
    room, number, has_more = _MOST_CHARACTERS, 0, False
    for number, line in enumerate(lines, 1 if total is None else args.offset):
        if number < args.offset:
            continue
        text = _numbered(number, line)
        room -= len(text) + 1
        if len(shown) == args.limit or (room < 0 and shown):
            has_more = True
            break
        shown.append(text)
    if not shown:
        raise ToolError(f"the file has only {number} lines")
    if has_more:
        of = f" of {total}" if total else ""
        shown.append(f"[lines {args.offset}-{number - 1}{of}; go on with offset={number}]")
    return "\n".join(shown)


def _numbered(number: int, line: str) -> str:
    line = line.removesuffix("\r")
    if len(line) > _LONGEST_LINE:
        line = f"{line[:_LONGEST_LINE]}… [{len(line):,} characters]"
    return f"{number:>4} | {line}"


TOOL = Tool("read_file", ReadFileArgs, read_file, Effect.READ)
