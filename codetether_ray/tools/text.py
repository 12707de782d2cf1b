"""The text of a file, and how to write it back as it was: encoding, mark and line ends."""

import codecs
from bisect import bisect_left
from dataclasses import dataclass, replace

from codetether_ray.core.errors import ToolError

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
)


@dataclass(frozen=True, slots=True)
class FileText:
    """A file's text, exactly: `encode` of an unchanged text gives the bytes that were read."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @property
    def newline(self) -> str:
        """The line end that most lines have."""
        pairs = self.text.count("\r\n")
        return "\r\n" if pairs > self.text.count("\n") - pairs else "\n"

    def with_text(self, text: str) -> "FileText":
        """Another text, to be written the same way."""
        return replace(self, text=text)

    def encode(self) -> bytes:
        """The bytes of the file.

        Raises:
            ToolError: the encoding lacks a character of the text.
        """
        try:
            return self.mark + self.text.encode(self.encoding)
        except UnicodeEncodeError as error:
            character = self.text[error.start]
            raise ToolError(
                f"the file is {self.encoding} and cannot hold {character!r}; write it anew with "
                "write_file (UTF-8) if that is wanted"
            ) from error


def decode(data: bytes) -> FileText | None:
    """The text of a file's bytes; None if they are binary.

    By its mark, else UTF-8, else Latin-1, in which every byte is a character.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return FileText(data[len(mark) :].decode(encoding), encoding, mark)
            except UnicodeDecodeError:
                break
    if b"\0" in data:
        return None
    try:
        return FileText(data.decode())
    except UnicodeDecodeError:
        return FileText(data.decode("latin-1"), "latin-1")


def picture_kind(data: bytes) -> str | None:
    """The kind of picture that these bytes begin; None if it is none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((kind for magic, kind in _PICTURES if data.startswith(magic)), None)


class Unified:
    """A text with all line ends as `\\n`, and the way back to places in the original."""

    def __init__(self, original: str) -> None:
        self.original = original
        self._pairs: list[int] = []  # where, in `text`, a line end was two characters
        position = -1
        while (position := original.find("\r\n", position + 1)) >= 0:
            self._pairs.append(position - len(self._pairs))
        self.text = original.replace("\r\n", "\n") if self._pairs else original

    def replace(self, spans: list[tuple[int, int]], new: str) -> str:
        """The original with spans of `text` (in order, apart) replaced; its line ends are kept."""
        pieces, position = [], 0
        for start, end in spans:
            first, last = self._back(start), self._back(end)
            pieces += [self.original[position:first], self._ended(new, start, end)]
            position = last
        return "".join([*pieces, self.original[position:]])

    def _back(self, position: int) -> int:
        return position + bisect_left(self._pairs, position)

    def _ended(self, new: str, start: int, end: int) -> str:
        """`new` with the line ends of the place where it goes."""
        unified = new.replace("\r\n", "\n")
        if not self._pairs or "\n" not in unified:
            return unified
        total = self.text.count("\n", start, end)
        pairs = bisect_left(self._pairs, end) - bisect_left(self._pairs, start)
        if total == 0:
            total, pairs = self.text.count("\n"), len(self._pairs)
        return unified.replace("\n", "\r\n") if pairs * 2 >= total else unified
