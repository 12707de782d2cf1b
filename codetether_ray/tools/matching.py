"""Finding the text that an edit means: exactly, then whatever its white space, then by its ends.

Each way is tried only where the one before found nothing, and a text found twice is never guessed
between: the lines are named instead.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from codetether_ray.core.errors import ToolError
from codetether_ray.core.masking import PLACEHOLDER

Span = tuple[int, int]

_ALIKE = 0.7  # how similar the inside of an anchored block must be
_SLACK = 0.25  # by how much of its lines an anchored block may be longer or shorter
_MOST_LINES = 20_000  # of a file in which similar text is looked for
_NUMBERED = re.compile(r" *\d+ \| ?")


@dataclass(frozen=True, slots=True)
class Match:
    """Where the old text is, and the new text as it fits there. `note` tells a loose match."""

    spans: list[Span]
    new: str
    note: str = ""


def find(text: str, old: str, new: str, *, replace_all: bool) -> Match:
    """Where `old` is in `text` (line ends of both: `\\n`).

    Raises:
        ToolError: not there, or there more than once; the text names the lines.
    """
    spans = _exact(text, old)
    if spans:
        return Match(_one(text, spans, replace_all=replace_all), new)
    if old.strip() and text.count("\n") <= _MOST_LINES:
        for way in (_by_trailing_space, _by_indentation, _by_words, _by_anchors):
            match = way(text, old, new)
            if match is not None:
                spans = _one(text, match.spans, replace_all=replace_all)
                return Match(spans, match.new, match.note)
    raise ToolError(_not_found(text, old))


def line_of(text: str, position: int) -> int:
    """The number of the line at a position, from 1."""
    return text.count("\n", 0, position) + 1


def _exact(text: str, old: str) -> list[Span]:
    spans: list[Span] = []
    position = text.find(old)
    while position >= 0:
        spans.append((position, position + len(old)))
        position = text.find(old, position + len(old))
    return spans


def _one(text: str, spans: list[Span], *, replace_all: bool) -> list[Span]:
    if len(spans) == 1 or replace_all:
        return spans
    lines = [str(line_of(text, start)) for start, _ in spans]
    shown = ", ".join(lines[:10]) + (", …" if len(lines) > 10 else "")
    raise ToolError(
        f"old_string is there {len(spans)} times, at lines {shown}; add lines around it until it "
        "is unique, or set replace_all"
    )


# -- by lines -------------------------------------------------------------------------------------


def _blocks(text: str, old: str, key: Callable[[str], str]) -> list[Span]:
    """Runs of whole lines that equal the lines of `old` under `key`."""
    wanted = [key(line) for line in old.removesuffix("\n").split("\n")]
    lines = text.split("\n")
    have = [key(line) for line in lines]
    starts = _line_starts(lines)
    spans: list[Span] = []
    at = 0
    while at + len(wanted) <= len(have):
        if have[at] == wanted[0] and have[at : at + len(wanted)] == wanted:
            spans.append(_line_span(text, starts, at, at + len(wanted), old.endswith("\n")))
            at += len(wanted)
        else:
            at += 1
    return spans


def _line_starts(lines: list[str]) -> list[int]:
    starts, position = [], 0
    for line in lines:
        starts.append(position)
        position += len(line) + 1
    return [*starts, position]


def _line_span(text: str, starts: list[int], first: int, last: int, with_end: bool) -> Span:
    """The span of lines `first` to before `last`; with the last line's end on request."""
    end = min(starts[last], len(text)) if with_end else starts[last] - 1
    return starts[first], min(end, len(text))


def _by_trailing_space(text: str, old: str, new: str) -> Match | None:
    spans = _blocks(text, old, str.rstrip)
    return Match(spans, new, "spaces at line ends differed") if spans else None


def _by_indentation(text: str, old: str, new: str) -> Match | None:
    spans = _blocks(text, old, lambda line: " ".join(line.split()))
    if not spans:
        return None
    moved = {_reindented(new, old, text[start:end]) for start, end in spans}
    if len(moved) > 1:  # places that need different text are different places
        _one(text, spans, replace_all=False)
    return Match(spans, moved.pop(), "white space differed")


def _reindented(new: str, old: str, found: str) -> str:
    """`new` with the indentation that `found` has where `old` has its own."""
    steps: dict[str, str] = {}
    for asked, given in zip(old.split("\n"), found.split("\n"), strict=False):
        if asked.strip():
            steps.setdefault(_indent(asked), _indent(given))
    if all(asked == given for asked, given in steps.items()):
        return new
    unit = _unit(steps)
    return "\n".join(_moved(line, steps, unit) for line in new.split("\n"))


def _moved(line: str, steps: dict[str, str], unit: tuple[str, str]) -> str:
    own = _indent(line)
    known = [step for step in steps if own.startswith(step)]
    if not line.strip() or not known:
        return line
    step = max(known, key=len)
    return steps[step] + own[len(step) :].replace(*unit) + line[len(own) :]


def _unit(steps: dict[str, str]) -> tuple[str, str]:
    """One level of indentation, as asked and as given."""
    for outer, inner in itertools.pairwise(sorted(steps, key=len)):
        asked, given = inner.removeprefix(outer), steps[inner].removeprefix(steps[outer])
        if asked and given:
            return asked, given
    return "    ", "    "


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


# -- by words -------------------------------------------------------------------------------------


def _by_words(text: str, old: str, new: str) -> Match | None:
    """The same words and signs of one line with other white space between them."""
    words = old.split()
    if len(words) < 2 or "\n" in old.strip():
        return None
    pattern = re.compile(r"[^\S\n]+".join(map(re.escape, words)))
    spans = [match.span() for match in pattern.finditer(text)]
    if not spans:
        return None
    start, end = len(old) - len(old.lstrip()), len(old.rstrip())
    lead, trail = old[:start], old[end:]
    inner = new.removeprefix(lead) if lead else new
    inner = inner.removesuffix(trail) if trail else inner
    return Match(spans, inner, "white space differed")


# -- by anchors -----------------------------------------------------------------------------------


def _by_anchors(text: str, old: str, new: str) -> Match | None:
    """A block whose first and last lines are those of `old` and whose inside is similar."""
    wanted = old.removesuffix("\n").split("\n")
    if len(wanted) < 3 or not wanted[0].strip() or not wanted[-1].strip():
        return None
    lines = text.split("\n")
    first, last = wanted[0].strip(), wanted[-1].strip()
    slack = max(1, int(len(wanted) * _SLACK))
    starts = _line_starts(lines)
    spans: list[Span] = []
    for begin in (i for i, line in enumerate(lines) if line.strip() == first):
        end = _best_end(lines, begin, wanted, last, slack)
        if end is not None:
            spans.append(_line_span(text, starts, begin, end, old.endswith("\n")))
    if not spans:
        return None
    start, stop = spans[0]
    moved = _reindented(new, "\n".join((wanted[0], wanted[-1])), _ends(text[start:stop]))
    return Match(spans, moved, "only its first and last lines were the same: check the result")


def _ends(block: str) -> str:
    lines = block.removesuffix("\n").split("\n")
    return f"{lines[0]}\n{lines[-1]}"


def _best_end(lines: list[str], begin: int, wanted: list[str], last: str, slack: int) -> int | None:
    """The end of the most similar block that begins at `begin`; None if none is similar."""
    best, best_ratio = None, _ALIKE
    inside = [line.strip() for line in wanted[1:-1]]
    for size in range(max(2, len(wanted) - slack), len(wanted) + slack + 1):
        end = begin + size
        if end > len(lines) or lines[end - 1].strip() != last:
            continue
        given = [line.strip() for line in lines[begin + 1 : end - 1]]
        ratio = SequenceMatcher(None, "\n".join(inside), "\n".join(given), False).ratio()
        if ratio >= best_ratio:
            best, best_ratio = end, ratio
    return best


# -- not found ------------------------------------------------------------------------------------


def _not_found(text: str, old: str) -> str:
    lines = old.split("\n")
    if old.strip() and all(_NUMBERED.match(line) for line in lines if line):
        return "old_string holds the line numbers of read_file; leave them out"
    if PLACEHOLDER in old and PLACEHOLDER not in text:
        return f"{PLACEHOLDER} stands for a secret that you were not shown; match other lines"
    nearest = _nearest(text, old)
    if nearest is None:
        return "old_string is not in the file; read the file again"
    number, block = nearest
    shown = "\n".join(f"{number + i:>4} | {line}" for i, line in enumerate(block))
    return f"old_string is not in the file. The most similar lines are:\n{shown}"


def _nearest(text: str, old: str) -> tuple[int, list[str]] | None:
    """The lines of `text` that are most like `old`, and the number of the first."""
    lines = text.split("\n")
    wanted = [line for line in old.split("\n") if line.strip()][:12]
    if not wanted or len(lines) > _MOST_LINES:
        return None
    key = max(wanted, key=lambda line: len(line.strip()))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(key.strip())
    best, best_ratio = -1, _ALIKE
    for index, line in enumerate(lines):
        matcher.set_seq1(line.strip())
        if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio:
                best, best_ratio = index, ratio
    if best < 0:
        return None
    first = max(0, best - wanted.index(key))
    return first + 1, lines[first : first + len(wanted)]
