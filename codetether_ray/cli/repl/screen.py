"""What the prompt prints: above the line that is typed, in order, nothing twice.

Whole lines go up; the line that still streams stands between them and the prompt until it ends.
"""

import asyncio
import contextlib
import io
import re
from collections.abc import Callable, Iterator

from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.output import Output

from codetether_ray.cli import words
from codetether_ray.cli.style import paint

_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_LIVE_ROWS = 6
_GATHER_S = 0.03
"""What comes within this time is written at once: each writing draws the prompt anew."""


def plain(text: str) -> str:
    """`text` without what would steer the terminal: only tabs and line ends stay."""
    return _CONTROLS.sub("", text)


def rows_of(line: str, width: int, most: int = _LIVE_ROWS) -> list[str]:
    """A long line cut into rows of `width` cells, the last `most` of them."""
    rows, row, used = [], "", 0
    for character in line.expandtabs(4):
        size = words.cells(character)
        if used + size > max(width, 2):
            rows.append(row)
            row, used = "", 0
        row, used = row + character, used + size
    return [*rows, row][-most:]


class Screen(io.TextIOBase):
    """A text stream above the prompt. `live` is the part of a line that has not ended yet."""

    def __init__(self, output: Output, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when `live` is another one."""
        super().__init__()
        self._output = output
        self._changed = changed
        self._ready = ""  # whole lines that are not written yet
        self._writing: asyncio.Task[None] | None = None
        self._is_held = False
        self.live = ""

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        stream = self._output.stdout
        return stream is not None and stream.isatty()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text as it is, colours included; up to its last line end it is written soon."""
        whole, end, rest = (self.live + text).rpartition("\n")
        self.live = rest
        self._put_up(whole + end)
        return len(text)

    def line(self, text: str = "", colour: str = "") -> None:
        """One line; a line that still streams ends first."""
        self.end_line()
        self.write(self._painted(text, colour) + "\n")

    def aside(self, text: str, colour: str = "") -> None:
        """One line above the one that streams, which goes on."""
        self._put_up(self._painted(text, colour) + "\n")

    def end_line(self) -> None:
        """End the line that streams, if there is one."""
        if self.live:
            self.write("\n")

    def _painted(self, text: str, colour: str) -> str:
        return paint(text, colour, self) if colour else text  # type: ignore[arg-type]

    def _put_up(self, lines: str) -> None:
        self._ready += lines
        self._changed()
        if self._ready and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write_up())

    async def settle(self) -> None:
        """Wait until everything that was said is written."""
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._output.get_size().columns

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Write nothing: somebody else has the terminal."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self._put_up("")

    async def _write_up(self) -> None:
        while self._ready and not self._is_held:
            await asyncio.sleep(_GATHER_S)
            if not self._is_held:
                self._put()

    def _put(self) -> None:
        """Write above the prompt.

        `run_in_terminal` would do so in the terminal's cooked mode, in which keys get lost.
        """
        text, self._ready = self._ready, ""
        app = get_app_or_none()
        if app is None or not app.is_running:
            self._write_raw(text)
            return
        app.renderer.erase()
        self._write_raw(text)
        app.renderer.request_absolute_cursor_position()
        app.invalidate()

    def _write_raw(self, text: str) -> None:
        self._output.enable_autowrap()
        self._output.write_raw(text.replace("\n", "\r\n"))
        with contextlib.suppress(OSError):  # a terminal that was closed
            self._output.flush()
