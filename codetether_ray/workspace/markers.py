"""Conflict markers: which lines of a half-merged file are markers, and which are still there.

A line of seven `=` underlines a heading as well, and a file may hold marker-like lines of its
own (a test of a merge tool). So the markers of a file are found where git writes them, in
order, and counted; a resolved file may keep as many such lines as the file's own content had.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

_OPEN = re.compile(rb"(<{7,})( .*)?")
_PROSE = frozenset({".md", ".markdown", ".rst", ".txt", ".adoc", ".org"})


def allowed_markers(content: bytes, label: str) -> dict[str, int]:
    """How often each marker line of a half-merged file may stand in the resolved one.

    `label` is what git wrote behind `>>>>>>>`: the name of the side that was merged in.
    """
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    markers = Counter(lines[n] for n in _marker_places(lines, label.encode()))
    totals = Counter(line for line in lines if line in markers)
    return {_text(line): totals[line] - count for line, count in markers.items()}


def left_markers(path: str, content: bytes, allowed: Mapping[str, int]) -> tuple[str, ...]:
    """Marker lines that a resolved file still has. A lone `=======` in prose is no marker."""
    found = Counter(_text(line.rstrip(b"\r")) for line in content.split(b"\n"))
    left = [line for line, most in allowed.items() if found[line] > most]
    if PurePosixPath(path).suffix.lower() in _PROSE and all(set(line) == {"="} for line in left):
        return ()
    return tuple(left)


def _marker_places(lines: list[bytes], label: bytes) -> list[int]:
    """Where the markers of all hunks stand: an opening, a middle and a closing of one length.

    A second opening before the closing means that the first was the file's own content.
    """
    found: list[int] = []
    hunk: list[int] = []
    size = 0
    for at, line in enumerate(lines):
        if opening := _OPEN.fullmatch(line):
            hunk, size = [at], len(opening[1])
        elif len(hunk) == 1 and line == b"=" * size:
            hunk.append(at)
        elif len(hunk) == 2 and _closes(line, size, label):
            found += [*hunk, at]
            hunk = []
    return found


def _closes(line: bytes, size: int, label: bytes) -> bool:
    """Whether a line is the closing marker; behind the label git may name a renamed path."""
    closing = b">" * size + b" " + label
    return line == closing or line.startswith(closing + b":")


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
