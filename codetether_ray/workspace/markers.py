"""Conflict markers: which lines of a half-merged file are markers, and which are still there.

A line of seven `=` underlines a heading as well, and a file may hold marker-like lines of its
own (a test of a merge tool). But the closing marker bears a name that we chose. So the hunks are
counted by it, and a resolved file may keep as many marker-like lines as were there beyond that.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

_OURS = "HEAD"
"""What git calls the side that is merged into, behind `<<<<<<<`."""
_PROSE = frozenset({".md", ".markdown", ".rst", ".txt", ".adoc", ".org"})


def allowed_markers(content: bytes, label: str) -> dict[str, int]:
    """How often each marker line of a half-merged file may stand in the resolved one.

    `label` is what git wrote behind `>>>>>>>`: the name of the side that was merged in. Behind
    either name git may put the path of a renamed file.
    """
    lines = Counter(_lines(content))
    closing = re.compile(rf"(>{{7,}}) {re.escape(label)}(:.*)?")
    closings = {line: found for line in lines if (found := closing.fullmatch(line))}
    hunks = sum(lines[line] for line in closings)
    allowed = dict.fromkeys(closings, 0)
    for size in {len(found[1]) for found in closings.values()}:
        opening = re.compile(rf"<{{{size}}} {_OURS}(:.*)?")
        for line in [x for x in lines if x == "=" * size or opening.fullmatch(x)]:
            allowed[line] = max(0, lines[line] - hunks)
    return allowed


def left_markers(path: str, content: bytes, allowed: Mapping[str, int]) -> tuple[str, ...]:
    """Marker lines that a resolved file still has. A lone `=======` in prose is no marker."""
    found = Counter(_lines(content))
    left = [line for line, most in allowed.items() if found[line] > most]
    if PurePosixPath(path).suffix.lower() in _PROSE and all(set(line) == {"="} for line in left):
        return ()
    return tuple(left)


def _lines(content: bytes) -> list[str]:
    return [line.rstrip(b"\r").decode("utf-8", "replace") for line in content.split(b"\n")]
