"""Looking for a pattern in the lines of files.

Matching is done in a thread where it surely ends soon, else in a process of its own, which can be
stopped: Python cannot interrupt a match. `main` is that process; it needs nothing beyond the
standard library.
"""

import asyncio
import codecs
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.tools.files import MOST_BYTES, read_bytes
from codetether_ray.tools.paths import Place
from codetether_ray.tools.pattern import literals, longest_safe_line
from codetether_ray.tools.text import decode

_LONGEST_LINE = 5_000  # characters of a line that are searched
_SHOWN = 300  # characters of a line that are shown
_TIME_S = 20.0
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_RESULT_BYTES = 20_000_000


@dataclass(slots=True)
class Found:
    """A line that matches; `before` and `after` are the lines around it."""

    path: str
    number: int
    """From 1."""
    line: str
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Scan:
    """What a search came to, and what it left out."""

    found: list[Found] = field(default_factory=list)
    has_more: bool = False
    large: list[str] = field(default_factory=list)
    """Files that are too large to be searched."""
    out_of_time: bool = False
    has_long_lines: bool = False
    """Lines were met that were searched only in part."""


class _UnsafeError(Exception):
    """A line is so long that matching it may take very long."""


async def scan(
    sandbox: Sandbox,
    root: Path,
    files: Sequence[str],
    pattern: re.Pattern[str],
    *,
    limit: int,
    context: int = 0,
) -> Scan:
    """The first `limit` matching lines of `files` (relative to `root`), in their order."""
    safe = longest_safe_line(pattern)
    if safe:
        try:
            return await asyncio.to_thread(scan_files, root, files, pattern, limit, context, safe)
        except _UnsafeError:
            pass
    request = {
        "root": str(root),
        "files": list(files),
        "pattern": pattern.pattern,
        "flags": pattern.flags,
        "limit": limit,
        "context": context,
    }
    program = "import sys; sys.path[:0] = [sys.argv[1]]; from {} import main; main()"
    package = str(Path(__file__).parents[2])
    done = await sandbox.run(
        [sys.executable, "-I", "-c", program.format(__name__), package],
        cwd=root,
        stdin=json.dumps(request).encode(),
        timeout_s=_TIME_S,
        max_output_bytes=_RESULT_BYTES,
    )
    if done.timed_out or done.is_truncated or done.exit_code != 0:
        raise ToolError("the search took too long; a repetition within a repetition is slow")
    return _from_json(json.loads(done.output))


def _from_json(data: Any) -> Scan:
    return Scan(**{**data, "found": [Found(**item) for item in data["found"]]})


def main() -> None:
    """Search as the request on standard input says; the result goes to standard output."""
    request = json.load(sys.stdin)
    pattern = re.compile(request["pattern"], request["flags"])
    result = scan_files(
        Path(request["root"]), request["files"], pattern, request["limit"], request["context"]
    )
    json.dump(asdict(result), sys.stdout)


def scan_files(
    root: Path,
    files: Sequence[str],
    pattern: re.Pattern[str],
    limit: int,
    context: int,
    safe: int = _LONGEST_LINE,
) -> Scan:
    """The same, here and now.

    Raises:
        _UnsafeError: a line is longer than `safe` characters.
    """
    result, deadline = Scan(), time.monotonic() + _TIME_S
    search = _Search(pattern, literals(pattern), limit, context, safe)
    for path in files:
        if time.monotonic() > deadline:
            result.out_of_time = True
            break
        lines = _lines(root, path, result, search)
        if lines is not None and not search.scan(path, lines, result):
            break
    return result


def _lines(root: Path, path: str, result: Scan, search: "_Search") -> list[str] | None:
    names = tuple(name for name in path.split("/") if name != ".")
    try:
        data = read_bytes(Place(root, names), MOST_BYTES + 1)
    except (ToolError, OSError):  # gone meanwhile, or not readable
        return None
    if len(data) > MOST_BYTES:
        result.large.append(path)
        return None
    if not search.may_be_in(data):
        return None
    text = decode(data)
    if text is None or text.encoding.startswith("utf-32"):
        return None
    return text.text.split("\n")


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for, and how much of it is wanted."""

    pattern: re.Pattern[str]
    literals: tuple[str, ...]
    limit: int
    context: int
    safe: int

    def may_be_in(self, data: bytes) -> bool:
        """Whether a file's bytes may hold a match: it saves decoding most files."""
        if not self.literals or self.pattern.flags & re.IGNORECASE or data[:2] in _WIDE:
            return True
        return any(text.encode() in data for text in self.literals)

    def scan(self, path: str, lines: list[str], result: Scan) -> bool:
        """Add the matches of one file; False when the limit is passed."""
        if lines and not lines[-1]:
            lines.pop()
        for index, line in enumerate(lines):
            match = self._match(line, result)
            if match is None:
                continue
            if len(result.found) == self.limit:
                result.has_more = True
                return False
            found = Found(path, index + 1, _shown(line, match.start()))
            if self.context:
                before = lines[max(0, index - self.context) : index]
                found.before = [_shown(one) for one in before]
                found.after = [_shown(one) for one in lines[index + 1 : index + 1 + self.context]]
            result.found.append(found)
        return True

    def _match(self, line: str, result: Scan) -> re.Match[str] | None:
        is_exact = not self.pattern.flags & re.IGNORECASE
        if is_exact and self.literals and not any(text in line for text in self.literals):
            return None
        if len(line) > self.safe:
            if self.safe < _LONGEST_LINE:
                raise _UnsafeError
            result.has_long_lines = True
            line = line[:_LONGEST_LINE]
        return self.pattern.search(line.removesuffix("\r"))


def _shown(line: str, at: int = 0) -> str:
    """A line to print: what is far from `at` is cut off."""
    line = line.rstrip()
    if len(line) <= _SHOWN:
        return line
    start = min(max(0, at - _SHOWN // 3), len(line) - _SHOWN)
    end = start + _SHOWN
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


def left_out(result: Scan, limit: int) -> list[str]:
    """Sentences on what the result does not hold."""
    notes = []
    if result.has_more:
        notes.append(f"[more than {limit} matches; narrow the pattern or the path]")
    if result.large:
        size = MOST_BYTES // 1_000_000
        notes.append(f"[not searched, over {size} MB: {', '.join(result.large[:5])}]")
    if result.has_long_lines:
        notes.append(f"[only the first {_LONGEST_LINE:,} characters of a line are searched]")
    if result.out_of_time:
        notes.append(f"[stopped after {_TIME_S:g} s; narrow the path]")
    return notes
