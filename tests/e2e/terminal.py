"""The command before a real pseudo-terminal, as a person at a keyboard has it."""

import asyncio
import contextlib
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from fcntl import ioctl

import pyte
from pyte.screens import Char

from tests.e2e.program import Program

CTRL_C, CTRL_D, TAB, ENTER, ALT_ENTER = "\x03", "\x04", "\t", "\r", "\x1b\r"
_ROWS, _COLUMNS = 40, 160


class Terminal:
    """One program on a terminal of its own: what it showed, and the keys that are pressed."""

    def __init__(
        self, master: int, slave: int, modes: list[object], process: asyncio.subprocess.Process
    ) -> None:
        self._master, self.slave = master, slave
        self.first_modes = modes
        self.process = process
        self._screen = pyte.HistoryScreen(_COLUMNS, _ROWS, history=5000)
        self._stream = pyte.ByteStream(self._screen)
        self._screen.write_process_input = self.press
        self._counts: dict[str, int] = {}
        self._is_open = True
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def shown(self) -> str:
        """What was shown and what is: the lines that scrolled away, and the screen."""
        rows = [*self._screen.history.top, *(self._screen.buffer[y] for y in range(_ROWS))]
        return "\n".join(_text(row) for row in rows)

    def press(self, *keys: str) -> None:
        """Press keys, or type text."""
        for key in keys:
            os.write(self._master, key.encode())

    async def enter(self, line: str) -> None:
        """Type a line and send it."""
        self.press(line)
        await self.sees(line[-20:].strip())
        self.press(ENTER)

    async def sees(self, words: str, timeout_s: float = 180) -> None:
        """Wait until some words are shown once more than when they were last waited for."""
        try:
            async with asyncio.timeout(timeout_s):
                while (count := self.shown.count(words)) <= self._counts.get(words, 0):
                    self._more.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._more.wait(), 0.5)
        except TimeoutError:
            raise AssertionError(f"no {words!r} is shown:\n{self.shown}") from None
        self._counts[words] = count

    async def ended(self, timeout_s: float = 180) -> int:
        """Its exit code."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    def modes(self) -> list[object]:
        """The terminal's modes."""
        return termios.tcgetattr(self.slave)

    def hang_up(self) -> None:
        """Close the terminal's window."""
        if self._is_open:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)

    def close(self) -> None:
        """Let the terminal go."""
        self.hang_up()
        os.close(self.slave)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.feed(os.read(self._master, 65536))
            self._more.set()


def _text(row: Mapping[int, Char]) -> str:
    return "".join(row[x].data for x in range(_COLUMNS)).rstrip()


@contextlib.asynccontextmanager
async def terminal(program: Program, *arguments: str, **env: str) -> AsyncIterator[Terminal]:
    """The program on a terminal of 100 columns; ended at the end, if it has not."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    modes = termios.tcgetattr(slave)
    process = await asyncio.create_subprocess_exec(
        *program.prefix,
        program.binary,
        *arguments,
        cwd=program.project,
        env={**program.env, "TERM": "xterm", **env},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0) and None,
    )
    shown = Terminal(master, slave, modes, process)
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        shown.close()
