"""Shows a swarm's progress on stderr: redrawn lines on a terminal, appended ones elsewhere."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol, TextIO

from codetether_ray.cli.progress import SwarmView
from codetether_ray.core.events import Record

if TYPE_CHECKING:
    from rich.live import Live

_REDRAW_S = 0.25
_HEARTBEAT_S = 30.0


class Progress(Protocol):
    """Takes a swarm's events and shows where it stands."""

    period_s: float
    """How often `tick` is to be called."""

    def show(self, record: Record) -> None:
        """One event."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...

    def pause(self) -> None:
        """Leave the screen to a question, until `go_on`."""
        ...

    def go_on(self) -> None:
        """The question is answered."""
        ...

    def close(self) -> None:
        """Leave the screen."""
        ...


def open_progress(stream: TextIO, view: SwarmView | None = None) -> Progress:
    """The progress that suits a stream; `view` is another than a swarm's."""
    return TerminalProgress(stream, view) if stream.isatty() else PlainProgress(stream, view)


@contextlib.asynccontextmanager
async def ticking(progress: Progress) -> AsyncIterator[None]:
    """Call `tick` regularly, and close at the end."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(progress.period_s)
            progress.tick()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        progress.close()


class PlainProgress:
    """Appends one line for each change, and the headline when nothing was said for a while."""

    period_s = _HEARTBEAT_S

    def __init__(self, stream: TextIO, view: SwarmView | None = None) -> None:
        self._stream = stream
        self._view = view or SwarmView()
        self._is_quiet = True

    def show(self, record: Record) -> None:
        """The lines of one event, each with the seconds since the start."""
        for line in self._view.apply(record):
            since = record.time - (self._view.started_at or record.time)
            self._stream.write(f"[{since:7.1f} s] {line}\n")
            self._stream.flush()
            self._is_quiet = False

    def tick(self) -> None:
        """Say the headline if nothing else was said."""
        if self._is_quiet and self._view.started_at is not None:
            self._stream.write(self._view.headline(time.time()) + "\n")
            self._stream.flush()
        self._is_quiet = True

    def pause(self) -> None:
        """Say nothing by itself while somebody thinks."""
        self._is_quiet = False

    def go_on(self) -> None:
        """Nothing was held back."""

    def close(self) -> None:
        """Nothing to leave."""


class TerminalProgress:
    """One line per agent, redrawn; warnings and ends scroll by above them."""

    period_s = _REDRAW_S

    def __init__(self, stream: TextIO, view: SwarmView | None = None) -> None:
        self._stream = stream
        self._view = view or SwarmView()
        self._live: Live | None = None
        self._is_paused = False

    def show(self, record: Record) -> None:
        """Take the event in; what must not be missed is printed above the lines."""
        from rich.text import Text

        for line in self._view.apply(record):
            if self._is_paused:
                continue
            if line.startswith("warning") or "failed" in line or "not merged" in line:
                self._screen().console.print(Text(line))

    def tick(self) -> None:
        """Draw anew."""
        from rich.text import Text

        if self._is_paused:
            return

        size = shutil.get_terminal_size()
        lines = self._view.lines(time.time(), height=size.lines - 1, width=size.columns)
        self._screen().update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"))
        self._screen().refresh()

    def pause(self) -> None:
        """Leave the last state on the screen, and draw nothing until `go_on`."""
        self.close()
        self._is_paused = True

    def go_on(self) -> None:
        """Draw again."""
        self._is_paused = False

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self.tick()
            self._live.stop()
            self._live = None

    def _screen(self) -> "Live":
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._stream), auto_refresh=False)
            self._live.start()
        return self._live
