"""The output of a process, kept in bounded memory: its beginning, its end, its true size."""

import codecs
from collections.abc import Callable

_CONTINUATION = range(0x80, 0xC0)  # bytes inside a UTF-8 character


class Capture:
    """Takes bytes as they come; holds at most `limit` of them, half from each end."""

    def __init__(self, limit: int, on_text: Callable[[str], None] | None = None) -> None:
        self._head_room = limit - limit // 2
        self._tail_room = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.total = 0
        """Bytes seen."""

    def feed(self, data: bytes) -> None:
        """Take a piece; pass it on as text, cut between characters."""
        self.total += len(data)
        room = self._head_room - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * self._tail_room + 65536:
            del self._tail[: len(self._tail) - self._tail_room]
        self._pass_on(self._decoder.decode(data))

    def close(self) -> None:
        """The stream ended."""
        self._pass_on(self._decoder.decode(b"", True))

    def _pass_on(self, text: str) -> None:
        if text and self._on_text is not None:
            self._on_text(text)

    @property
    def is_truncated(self) -> bool:
        """Whether the middle is missing."""
        return self.total > self._head_room + self._tail_room

    def text(self) -> str:
        """What was kept; a cut is at character boundaries and says how much is missing."""
        if not self.is_truncated:
            return bytes(self._head + self._tail).decode(errors="replace")
        head, tail = _whole_end(bytes(self._head)), self._tail[-self._tail_room :]
        tail = tail if self._tail_room else bytearray()
        start = 0
        while start < min(3, len(tail)) and tail[start] in _CONTINUATION:
            start += 1
        last = bytes(tail[start:])
        missing = self.total - len(head) - len(last)
        note = f"\n[… {missing:,} of {self.total:,} bytes of output left out …]\n"
        return head.decode(errors="replace") + note + last.decode(errors="replace")


def _whole_end(data: bytes) -> bytes:
    """`data` without a last character that is not complete."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte in _CONTINUATION:
            continue
        needed = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return data[:-back] if needed > back else data
    return data
