"""Applying a patch to texts: tolerant about where, never about what.

A hunk goes where its old lines are. Its line number only decides between equal places; where even
that leaves a choice, the patch is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codetether_ray.core.errors import ToolError
from codetether_ray.tools.patch import FilePatch, Hunk, Sign

_MOST_FUZZ = 2  # outer context lines that may differ, as in patch(1)
_LEAST_KEPT = 2  # lines that must still be found then

_Key = Callable[[str], str]


def _without_return(line: str) -> str:
    return line.removesuffix("\r")


_KEYS: tuple[tuple[_Key, str], ...] = (
    (str, ""),
    (_without_return, ""),
    (str.rstrip, "spaces at line ends differed"),
)
"""How lines are compared, the strictest first, and what to say of it."""

_Lines = tuple[tuple[Sign, str], ...]


def apply(text: str, patch: FilePatch) -> tuple[str, list[str]]:
    """The patched text, and notes on hunks that were found elsewhere or loosely.

    Raises:
        ToolError: a hunk does not fit; the text says which, and where it differs.
    """
    file = _File(text)
    for number, hunk in enumerate(patch.hunks, 1):
        file.apply(number, hunk)
    return file.text(), file.notes


def contents(patch: FilePatch) -> str:
    """The text of a file that the patch adds.

    Raises:
        ToolError: a hunk has old lines.
    """
    if any(hunk.old for hunk in patch.hunks):
        raise ToolError(f"{patch.path}: a new file can have no context or removed lines")
    lines = [line for hunk in patch.hunks for line in hunk.new]
    ends_open = bool(patch.hunks) and patch.hunks[-1].new_ends_open
    return "\n".join(lines) + ("" if ends_open or not lines else "\n")


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a hunk goes: its lines (without dropped ones) at `index`."""

    index: int
    lines: _Lines
    note: str = ""


class _File:
    """A text as lines with their ends; hunks are applied from top to bottom."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._ends = ["\n"] * (len(self._lines) - 1) + [""]
        if not self._lines[-1]:  # the text ends with a line end, or is empty
            self._lines.pop()
            self._ends.pop()
        pairs = sum(line.endswith("\r") for line in self._lines)
        self._is_dos = pairs * 2 > len(self._lines)
        self._done = 0  # lines before this one belong to earlier hunks
        self._shift = 0  # how far earlier hunks moved what follows
        self.notes: list[str] = []

    def text(self) -> str:
        """The whole text."""
        return "".join(line + end for line, end in zip(self._lines, self._ends, strict=True))

    def apply(self, number: int, hunk: Hunk) -> None:
        """Apply one hunk."""
        spot = self._spot(number, hunk)
        if spot.note:
            self.notes.append(f"hunk {number}: {spot.note}")
        old_count = sum(sign != "+" for sign, _ in spot.lines)
        touches_end = spot.index + old_count == len(self._lines)
        ended_open = bool(self._ends) and not self._ends[-1]
        new = self._new_lines(spot)
        span = slice(spot.index, spot.index + old_count)
        self._lines[span] = new
        self._ends[span] = ["\n"] * len(new)
        if new and spot.index:
            self._ends[spot.index - 1] = "\n"
        if self._ends and touches_end:
            is_told = hunk.old_ends_open or hunk.new_ends_open
            ends_open = hunk.new_ends_open if is_told else ended_open
            self._ends[-1] = "" if ends_open else "\n"
        if hunk.start is not None:
            expected = hunk.start - (1 if hunk.old else 0)
            self._shift = spot.index - expected + len(new) - old_count
        self._done = spot.index + len(new)

    def _new_lines(self, spot: _Spot) -> list[str]:
        """The lines after the hunk: context as the file has it, added lines with its line ends."""
        index, new = spot.index, []
        pairs = zip(spot.lines, self._walk(spot), strict=True)
        is_exact = all(sign == "+" or line == own for (sign, line), own in pairs)
        is_exact = is_exact and (self._has_old(spot) or not self._lines)
        for sign, line in spot.lines:
            if sign == "+":
                new.append(line if is_exact else self._ended(line))
            else:
                if sign == " ":
                    new.append(self._lines[index])
                index += 1
        return new

    def _walk(self, spot: _Spot) -> list[str]:
        """For each line of the hunk the file's line at that place."""
        index, out = spot.index, []
        for sign, _ in spot.lines:
            out.append("" if sign == "+" else self._lines[index])
            index += sign != "+"
        return out

    @staticmethod
    def _has_old(spot: _Spot) -> bool:
        return any(sign != "+" for sign, _ in spot.lines)

    def _ended(self, line: str) -> str:
        bare = line.removesuffix("\r")
        return f"{bare}\r" if self._is_dos else bare

    # -- where ------------------------------------------------------------------------------------

    def _spot(self, number: int, hunk: Hunk) -> _Spot:
        if not hunk.old:
            return self._insertion(number, hunk)
        expected = None if hunk.start is None else hunk.start - 1 + self._shift
        after = self._after_section(number, hunk)
        for fuzz in range(_MOST_FUZZ + 1):
            lines = _without_outer(hunk.lines, fuzz)
            if lines is None:
                break
            wanted = None if expected is None else expected + _dropped_before(hunk.lines, lines)
            for key, note in _KEYS:
                index = self._choose(number, lines, key, wanted, after, hunk, is_fuzzy=fuzz > 0)
                if index is not None:
                    loose = f"{fuzz} outer context lines differed" if fuzz else note
                    return _Spot(index, lines, _note(loose, index, wanted))
        raise ToolError(self._why(number, hunk, expected))

    def _insertion(self, number: int, hunk: Hunk) -> _Spot:
        """A hunk of added lines alone: into an empty file, or (unnumbered) at the end."""
        if not self._lines or (hunk.start is None and not hunk.sections):
            return _Spot(len(self._lines), hunk.lines)
        raise ToolError(
            f"hunk {number} has only added lines, so its place cannot be checked; add context lines"
        )

    def _places(self, lines: _Lines, key: _Key, hunk: Hunk) -> list[int]:
        """Where the old lines are, behind the hunks already applied."""
        wanted = [key(line) for sign, line in lines if sign != "+"]
        have = [key(line) for line in self._lines]
        last = len(have) - len(wanted)
        found = [
            at
            for at in range(self._done, last + 1)
            if have[at] == wanted[0] and have[at : at + len(wanted)] == wanted
        ]
        must_end = hunk.at_end or hunk.old_ends_open
        return [at for at in found if at == last] if must_end else found

    def _choose(
        self,
        number: int,
        lines: _Lines,
        key: _Key,
        expected: int | None,
        after: int,
        hunk: Hunk,
        *,
        is_fuzzy: bool,
    ) -> int | None:
        places = self._places(lines, key, hunk)
        if len(places) <= 1:
            return places[0] if places else None
        if expected in places and not is_fuzzy:
            return expected
        behind = [at for at in places if at >= after]
        if hunk.sections and behind and after > 0:
            return behind[0]
        shown = ", ".join(str(at + 1) for at in places[:10])
        raise ToolError(
            f"hunk {number} fits at several places (lines {shown}); add context lines to tell "
            "which is meant"
        )

    def _after_section(self, number: int, hunk: Hunk) -> int:
        """The line behind the ones that the hunk names; 0 if it names none, or not one alone."""
        after = self._done
        for wanted in map(str.strip, hunk.sections):
            found = [i for i, line in enumerate(self._lines) if line.strip() == wanted]
            found = found or [i for i, line in enumerate(self._lines) if wanted in line]
            if not found and not self._places(hunk.lines, str.rstrip, hunk):
                raise ToolError(f"hunk {number}: no line reads {wanted!r}")
            later = [i for i in found if i >= after]
            if len(later) != 1:
                return 0
            after = later[0] + 1
        return after if hunk.sections else 0

    # -- why not ----------------------------------------------------------------------------------

    def _why(self, number: int, hunk: Hunk, expected: int | None) -> str:
        """Which line of the hunk first differs at its most similar place."""
        old = hunk.old
        at = self._nearest(old, expected)
        if at is None:
            first = next((line for line in old if line.strip()), "")
            return f"hunk {number} does not apply: nothing in the file is like {first.strip()!r}"
        for offset, line in enumerate(old):
            index = at + offset
            have = self._lines[index] if index < len(self._lines) else None
            if have is None or have.rstrip() != line.rstrip():
                found = "the file ends" if have is None else f"the file has {_cut(have)!r}"
                where = f"line {index + 1}"
                return (
                    f"hunk {number} does not apply: at {where} it expects {_cut(line)!r}, {found}"
                )
        if at < self._done:
            return (
                f"hunk {number} does not apply: its place (line {at + 1}) is before an earlier hunk"
            )
        return f"hunk {number} does not apply: its lines are at {at + 1}, but not at the file's end"

    def _nearest(self, old: Sequence[str], expected: int | None) -> int | None:
        wanted = [line.strip() for line in old]
        have = [line.strip() for line in self._lines]
        best, best_score = None, (0, 0)
        for at in range(len(have)):
            same = sum(a == b and bool(a) for a, b in zip(wanted, have[at:], strict=False))
            score = (same, -abs(at - expected) if expected is not None else 0)
            if same and score > best_score:
                best, best_score = at, score
        return best


def _without_outer(lines: _Lines, fuzz: int) -> _Lines | None:
    """The hunk without its outermost context lines, `fuzz` at each end where there are so many.

    None if too little would be left to be sure of the place.
    """
    if fuzz == 0:
        return lines
    start, end = _context(lines), len(lines) - _context(lines[::-1])
    if start > end:
        return None
    first, last = min(fuzz, start), max(len(lines) - fuzz, end)
    kept = lines[first:last]
    old = [line for sign, line in kept if sign != "+" and line.strip()]
    is_less = first > 0 or last < len(lines)
    return kept if len(old) >= _LEAST_KEPT and is_less else None


def _context(lines: Sequence[tuple[Sign, str]]) -> int:
    return next((i for i, (sign, _) in enumerate(lines) if sign != " "), len(lines))


def _dropped_before(all_lines: _Lines, kept: _Lines) -> int:
    return next(
        (i for i in range(len(all_lines)) if all_lines[i : i + len(kept)] == kept),
        0,
    )


def _note(loose: str, index: int, expected: int | None) -> str:
    moved = "" if expected in (None, index) else f"found at line {index + 1}"
    return ", ".join(filter(None, (moved, loose)))


def _cut(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 80 else f"{line[:80]}…"
