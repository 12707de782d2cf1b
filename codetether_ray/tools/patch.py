"""Patches as values, read from unified diffs (git's or plain) and from `*** Begin Patch`."""

import re
from dataclasses import dataclass
from typing import Literal

from codetether_ray.core.errors import ToolError

Operation = Literal["add", "delete", "update"]
Sign = Literal[" ", "-", "+"]

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")
_VERSION = re.compile(r"\d+\.\d+")  # below the signature line of git's mails
_NO_END = "\\ No newline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """Lines to find and what becomes of them. Lines have no `\\n`; a `\\r` is part of the line."""

    lines: tuple[tuple[Sign, str], ...]
    start: int | None = None
    """The first old line's number, from 1, where the patch gives one."""
    sections: tuple[str, ...] = ()
    """Lines before the hunk that tell where it belongs, where it has no line number."""
    at_end: bool = False
    """The hunk's last line is the file's last."""
    old_ends_open: bool = False
    new_ends_open: bool = False
    """The last line of the old or new text has no line end."""

    @property
    def old(self) -> tuple[str, ...]:
        """What the file must have."""
        return tuple(text for sign, text in self.lines if sign != "+")

    @property
    def new(self) -> tuple[str, ...]:
        """What it has afterwards."""
        return tuple(text for sign, text in self.lines if sign != "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePatch:
    """What happens to one file. `path` is the old name, `new_path` another one after a move."""

    operation: Operation
    path: str
    new_path: str = ""
    hunks: tuple[Hunk, ...] = ()
    mode: int | None = None


def parse(text: str) -> tuple[FilePatch, ...]:
    """The patch that `text` holds.

    Raises:
        ToolError: it is none, or damaged; the line is named.
    """
    lines = _unwrapped(text.split("\n"))
    begins = [at for at, line in enumerate(lines[:5]) if line.rstrip() == "*** Begin Patch"]
    if begins:
        from codetether_ray.tools.patch_envelope import parse_envelope  # noqa: PLC0415 - one of two

        return parse_envelope(lines[begins[0] :])
    patches = _Unified(lines).parse()
    if not patches:
        raise ToolError(
            "no patch found; give a unified diff (---, +++, @@) or *** Begin Patch … *** End Patch"
        )
    return patches


def _unwrapped(lines: list[str]) -> list[str]:
    """The lines without empty ones around them and without a code fence."""
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].rstrip("\r"):
        last -= 1
    if last - first > 1 and lines[first].startswith("```") and lines[last - 1].strip() == "```":
        first, last = first + 1, last - 1
    return lines[first:last]


def section(line: str) -> str:
    """The text of `@@ text` or `@@ text @@`, without line numbers and dots that say nothing."""
    text = line[2:].strip().removesuffix("@@").strip()
    if text.startswith("-") and " +" in text:
        text = text.partition("@@")[2].strip()
    return "" if text in ("...", "…") else text


class _Unified:
    """Reads a unified diff, of `git diff` or `diff -u`."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    def parse(self) -> tuple[FilePatch, ...]:
        """Every file of the diff."""
        found: list[FilePatch] = []
        while self._at < len(self._lines):
            if self._peek().startswith("diff --git "):
                found.append(self._git())
            elif self._begins_file():
                found.append(self._plain())
            elif _HUNK.match(self._peek()) and not found:
                raise ToolError(f"line {self._at + 1}: a hunk before any --- and +++ line")
            else:
                self._at += 1  # prose, or a header that changes nothing
        return tuple(found)

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._lines[at] if at < len(self._lines) else ""

    def _begins_file(self) -> bool:
        return self._peek().startswith("--- ") and self._peek(1).startswith("+++ ")

    def _plain(self) -> FilePatch:
        old, new = _name(self._peek()[4:]), _name(self._peek(1)[4:])
        self._at += 2
        return _file_patch(old, new, {}, self._hunks())

    def _git(self) -> FilePatch:
        old, new = _git_names(self._peek()[len("diff --git ") :])
        self._at += 1
        said: dict[str, str] = {}
        while self._at < len(self._lines) and not self._peek().startswith("diff --git "):
            if self._begins_file():
                old, new = _name(self._peek()[4:]), _name(self._peek(1)[4:])
                self._at += 2
                return _file_patch(old, new, said, self._hunks())
            self._header(said)
            self._at += 1
        return _file_patch(old, new, said, ())

    def _header(self, said: dict[str, str]) -> None:
        line = self._peek()
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise ToolError(f"line {self._at + 1}: binary changes cannot be applied")
        for key in ("new file mode", "deleted file mode", "new mode", "old mode"):
            if line.startswith(key + " "):
                said[key] = line[len(key) + 1 :].strip()
        for key in ("rename from", "rename to", "copy from", "copy to"):
            if line.startswith(key + " "):
                said[key] = _unquoted(line[len(key) + 1 :].rstrip("\r"))

    def _hunks(self) -> tuple[Hunk, ...]:
        hunks: list[Hunk] = []
        while self._peek().startswith("@@"):
            header = self._peek()
            self._at += 1
            begin = self._at
            match = _HUNK.match(header)
            body = self._counted(_count(match[2]), _count(match[4])) if match else None
            if body is None:
                self._at = begin
                body = self._uncounted()
            if not body:
                raise ToolError(f"line {begin}: the hunk is empty")
            hunks.append(_hunk(body, header, match))
            while self._at < len(self._lines) and not self._peek().strip():
                self._at += 1
        if not hunks:
            raise ToolError(f"line {self._at + 1}: no hunk (@@ -a,b +c,d @@) after the file names")
        return tuple(hunks)

    def _counted(self, old: int, new: int) -> list[str] | None:
        """The hunk's lines as its header counts them; None if the counts are wrong."""
        body: list[str] = []
        while old > 0 or new > 0 or self._peek().startswith(_NO_END):
            if self._at >= len(self._lines):
                return None
            line = _body_line(self._peek())
            sign = line[0]
            if sign not in " -+\\":
                return None
            old -= sign in " -"
            new -= sign in " +"
            if old < 0 or new < 0:
                return None
            body.append(line)
            self._at += 1
        return body if self._is_boundary() else None

    def _is_boundary(self) -> bool:
        """Whether the hunk may end here: no line of a hunk follows."""
        ahead = 0
        while self._at + ahead < len(self._lines) and not self._peek(ahead).rstrip("\r"):
            ahead += 1
        return self._is_outside(ahead)

    def _is_outside(self, ahead: int = 0) -> bool:
        """Whether a line cannot belong to a hunk."""
        line, after = self._peek(ahead), self._peek(ahead + 1)
        is_file = line.startswith("--- ") and after.startswith("+++ ")
        is_signature = line.rstrip() == "--" and _VERSION.match(after) is not None
        return is_file or is_signature or not line.startswith((" ", "+", "-", "\\"))

    def _uncounted(self) -> list[str]:
        """The hunk's lines up to what can be none."""
        body: list[str] = []
        while self._at < len(self._lines):
            line = self._peek()
            if line.rstrip("\r") and self._is_outside():
                break
            body.append(_body_line(line))
            self._at += 1
        while body and not body[-1].strip():  # blank lines between hunks
            body.pop()
        return body


def _body_line(line: str) -> str:
    """A line of a hunk; an empty one has lost the space of an empty line of context."""
    return line if line.rstrip("\r") else f" {line}"


def _count(text: str | None) -> int:
    return 1 if text is None else int(text)


def _hunk(body: list[str], header: str, match: re.Match[str] | None) -> Hunk:
    lines: list[tuple[Sign, str]] = []
    old_open = new_open = False
    for line in body:
        if line.startswith("\\"):
            sign = lines[-1][0] if lines else " "
            old_open = old_open or sign in " -"
            new_open = new_open or sign in " +"
        else:
            lines.append((line[0], line[1:]))  # type: ignore[arg-type]
    if not lines:
        raise ToolError(f"the hunk {header!r} has no lines")
    place = section(header) if match is None else ""
    return Hunk(
        lines=tuple(lines),
        start=int(match[1]) if match else None,
        sections=(place,) if place else (),
        old_ends_open=old_open,
        new_ends_open=new_open,
    )


def _file_patch(old: str, new: str, said: dict[str, str], hunks: tuple[Hunk, ...]) -> FilePatch:
    if "copy to" in said:
        raise ToolError(f"copies cannot be applied ({said['copy to']}); add the file instead")
    mode_text = said.get("new file mode") or said.get("new mode")
    mode = int(mode_text, 8) & 0o777 if mode_text else None
    if mode_text and not mode_text.startswith("100"):
        raise ToolError(f"{new}: only regular files can be made, not mode {mode_text}")
    old, new = said.get("rename from", old), said.get("rename to", new)
    if old == "/dev/null" or "new file mode" in said:
        return FilePatch(operation="add", path=_stripped(new, "b/", said), hunks=hunks, mode=mode)
    if new == "/dev/null" or "deleted file mode" in said:
        return FilePatch(operation="delete", path=_stripped(old, "a/", said), hunks=hunks)
    path, new_path = _pair(old, new, said)
    if not hunks and path == new_path and mode is None:
        raise ToolError(f"{path}: nothing is changed by this part of the patch")
    moved = new_path if new_path != path else ""
    return FilePatch(operation="update", path=path, new_path=moved, hunks=hunks, mode=mode)


def _stripped(name: str, prefix: str, said: dict[str, str]) -> str:
    return name if "rename from" in said else name.removeprefix(prefix)


def _pair(old: str, new: str, said: dict[str, str]) -> tuple[str, str]:
    """Both names without git's `a/` and `b/`; a plain diff's second name is the file's."""
    if "rename from" in said:
        return old, new
    if old.startswith("a/") and new.startswith("b/"):
        return old[2:], new[2:]
    return new, new


def _name(text: str) -> str:
    """The path of a `---` or `+++` line."""
    text = text.rstrip("\r")
    return _unquoted(text) if text.startswith('"') else text.split("\t")[0].rstrip()


def _git_names(text: str) -> tuple[str, str]:
    """The two names of a `diff --git` line, which may hold spaces."""
    text = text.rstrip("\r")
    if text.startswith('"'):
        first, _, second = text[1:].partition('" ')
        return _unquoted(f'"{first}"'), _unquoted(second)
    middle = len(text) // 2
    if text[middle : middle + 3] == " b/" and text[2:middle] == text[middle + 3 :]:
        return text[:middle], text[middle + 1 :]
    first, _, second = text.partition(" b/")
    return first, f"b/{second}"


_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f"}


def _unquoted(text: str) -> str:
    """A path as git quotes it, in C's way."""
    if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
        return text

    def plain(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        is_octal = len(escape) == 3
        return bytes([int(escape, 8) & 255]) if is_octal else _ESCAPES.get(escape, escape)

    return _ESCAPE.sub(plain, text[1:-1].encode()).decode(errors="replace")
