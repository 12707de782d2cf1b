"""Reads the patches that begin with `*** Begin Patch`."""

from codetether_ray.core.errors import ToolError
from codetether_ray.tools.patch import FilePatch, Hunk, Sign, section

_ADD, _DELETE = "*** Add File: ", "*** Delete File: "
_UPDATE, _MOVE = "*** Update File: ", "*** Move to: "
_END, _END_OF_FILE = "*** End Patch", "*** End of File"


def parse_envelope(lines: list[str]) -> tuple[FilePatch, ...]:
    """Every file of the patch; the first line is the envelope's.

    Raises:
        ToolError: it is damaged; the line is named.
    """
    return _Envelope(lines).parse()


class _Envelope:
    """A cursor over the lines."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line.removesuffix("\r") for line in lines]
        self._at = 1

    def parse(self) -> tuple[FilePatch, ...]:
        """Every file, up to the end line."""
        found: list[FilePatch] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.rstrip() == _END:
                if not found:
                    raise ToolError("the patch is empty")
                return tuple(found)
            if line.strip():
                found.append(self._file(line))
            else:
                self._at += 1
        raise ToolError("the patch has no *** End Patch line; it may have been cut off")

    def _file(self, line: str) -> FilePatch:
        self._at += 1
        if line.startswith(_ADD):
            return self._added(_path(line, _ADD))
        if line.startswith(_DELETE):
            return FilePatch(operation="delete", path=_path(line, _DELETE))
        if line.startswith(_UPDATE):
            return self._updated(_path(line, _UPDATE))
        raise ToolError(
            f"line {self._at}: {line[:80]!r} is none of *** Add File, *** Update File, "
            "*** Delete File"
        )

    def _added(self, path: str) -> FilePatch:
        lines: list[tuple[Sign, str]] = []
        while not self._is_over():
            line = self._lines[self._at]
            if not line.startswith("+"):
                raise ToolError(f"line {self._at + 1}: each line of a new file begins with +")
            lines.append(("+", line[1:]))
            self._at += 1
        hunks = (Hunk(lines=tuple(lines)),) if lines else ()
        return FilePatch(operation="add", path=path, hunks=hunks)

    def _updated(self, path: str) -> FilePatch:
        new_path = ""
        if not self._is_over() or self._at < len(self._lines):
            line = self._lines[self._at]
            if line.startswith(_MOVE):
                new_path = _path(line, _MOVE)
                self._at += 1
        hunks: list[Hunk] = []
        while not self._is_over():
            if self._lines[self._at].strip():
                hunks.append(self._hunk())
            else:
                self._at += 1
        if not hunks and not new_path:
            raise ToolError(f"line {self._at}: the update of {path} has no hunk")
        return FilePatch(
            operation="update",
            path=path,
            new_path=new_path,
            hunks=tuple(hunks),
        )

    def _is_over(self) -> bool:
        """Whether the current file's part ends here."""
        if self._at >= len(self._lines):
            return True
        line = self._lines[self._at]
        return line.startswith(("*** Add ", "*** Delete ", "*** Update ", _END)) and (
            line.rstrip() != _END_OF_FILE
        )

    def _hunk(self) -> Hunk:
        begin = self._at
        sections: list[str] = []
        while not self._is_over() and self._lines[self._at].startswith("@@"):
            sections += filter(None, (section(self._lines[self._at]),))
            self._at += 1
        lines: list[tuple[Sign, str]] = []
        blanks = 0  # at the end so far; a blank line of context may have lost its space
        at_end = False
        while not self._is_over() and not self._lines[self._at].startswith("@@"):
            line = self._lines[self._at]
            self._at += 1
            if line.rstrip() == _END_OF_FILE:
                at_end = True
                break
            if line and line[0] not in " -+":
                raise ToolError(f"line {self._at}: a line of a hunk begins with space, - or +")
            lines.append((line[0], line[1:]) if line else (" ", ""))  # type: ignore[arg-type]
            blanks = 0 if line else blanks + 1
        if blanks and self._is_over():
            del lines[-blanks:]  # they stand before the next file
        if not lines:
            raise ToolError(f"line {begin + 1}: the hunk is empty")
        return Hunk(lines=tuple(lines), sections=tuple(sections), at_end=at_end)


def _path(line: str, key: str) -> str:
    path = line[len(key) :].strip()
    if not path:
        raise ToolError(f"{key.strip()} needs a path")
    return path
