"""Server-sent events out of bytes, however the bytes are cut.

Written from the WHATWG HTML standard's "event stream interpretation". One departure: what is left
at the end of the stream without a closing blank line is given out by `close`, because some servers
leave that line away after their terminator.
"""

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_MAX_EVENT_BYTES = 32 * 1024 * 1024  # a longer event is no model's answer


class SseEvent(NamedTuple):
    """One event: its type (`message` where none was sent), its data, its id where it has one."""

    event: str
    data: str
    id: str = ""


class SseParser:
    """Takes chunks, gives whole events. Any chunking of the same bytes gives the same events."""

    def __init__(self) -> None:
        self._rest = b""
        self._drop_lf = False
        self._is_start = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes.

        Raises:
            ValueError: one event is longer than any answer can be.
        """
        if self._drop_lf and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._drop_lf = False
        if b"\r" in chunk:
            self._drop_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {_MAX_EVENT_BYTES} bytes")
        return self._events(blocks)

    def close(self) -> list[SseEvent]:
        """The event that the stream ended in, if any."""
        block, self._rest = self._rest, b""
        return self._events([block])

    def _events(self, blocks: list[bytes]) -> list[SseEvent]:
        if blocks and self._is_start:
            blocks[0] = blocks[0].removeprefix(_BOM)
            self._is_start = False
        found = [_event(block) for block in blocks]
        return [event for event in found if event is not None]


def _event(block: bytes) -> SseEvent | None:
    """The event of a block of lines; None for one without data (comments, blank lines)."""
    name, id = "message", ""
    data: list[str] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"data":
            data.append(text)
        elif field == b"event":
            name = text or "message"
        elif field == b"id":
            id = text
    return SseEvent(name, "\n".join(data), id) if data else None
