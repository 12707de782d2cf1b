"""Tool processes on this machine.

Each command runs under a small parent of its own (`reaper.py`; it costs about 10 ms), because a
parent-death signal is tied to the thread that forked and misses grandchildren, and a process
group misses whoever calls `setsid`.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.sandbox import Completed
from codetether_ray.sandbox.capture import Capture
from codetether_ray.sandbox.environment import tool_environment
from codetether_ray.sandbox.leftovers import end_leftovers
from codetether_ray.sandbox.shares import Bound, MemoryShare

_LAUNCH = "import sys; sys.path[:0] = [sys.argv[1]]; import reaper; reaper.main(sys.argv[2:])"
_CHUNK = 65536  # bytes read at once
_END_S = 8.0  # the reaper's grace, its patience, and a little
_DRAIN_S = 1.0  # for output that a process outside our reach still holds open
_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh")


class LocalSandbox:
    """Runs commands as this user, under a parent that ends whatever they start."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        memory_bytes: int | None = None,
        marks: Mapping[str, str] | None = None,
        share: MemoryShare | None = None,
    ) -> None:
        """Take the variables to choose from, by default this process's, and limits.

        `memory_bytes` holds for each process of a command (RLIMIT_DATA), `share` for all commands
        that run at once together. `marks` (see `leftovers.marks`) are variables of every command.
        """
        self._environ = environ
        self._share = share
        self._marks = dict(marks or {})
        self._memory_bytes = memory_bytes or 0

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        stdin: bytes | None = None,
        max_output_bytes: int = 30_000,
        on_output: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a shell command (a string) or a program (a sequence) and wait for its end.

        Processes that the command leaves running are ended with it; `output` says so.

        Raises:
            ToolError: it could not be started.
            MemoryExceededError: it was ended for want of memory, and there may be more elsewhere.
        """
        program = [_shell(), "-c", command] if isinstance(command, str) else list(command)
        environ = os.environ if self._environ is None else self._environ
        variables = tool_environment(environ, {**(env or {}), **self._marks})
        capture = Capture(max_output_bytes, on_output)
        bounds = nullcontext() if self._share is None else self._share.entered()
        timed_out = False
        with bounds as bound:
            scope = bound.scope if bound is not None else ""
            process = _Process(program, cwd, variables, stdin, self._memory_bytes, capture, scope)
            try:
                async with asyncio.timeout(timeout_s):
                    await _ended(process, bound)
            except TimeoutError:
                timed_out = True
            finally:
                await process.end()
            note = bound.verdict() if bound is not None else ""
        completed = process.completed(timed_out=timed_out)
        return replace(completed, output=completed.output + note) if note else completed

    async def end_leftovers(self, run_id: str, agent: str) -> int:
        """End what a dead process of that agent left running on this host; how many there were."""
        return await asyncio.to_thread(end_leftovers, run_id, agent)


class _Process:
    """One reaper and the pipes to it. Lives on the running loop."""

    def __init__(
        self,
        program: list[str],
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes | None,
        memory_bytes: int,
        capture: Capture,
        scope: str = "",
    ) -> None:
        self.ended = asyncio.Event()
        self._drained = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._capture = capture
        self._said = b""
        self._control, theirs = socket.socketpair()
        self._output, output = os.pipe()
        directory = str(Path(__file__).parent)
        arguments = [directory, str(theirs.fileno()), str(memory_bytes), scope, *program]
        try:
            with _input(stdin) as source:
                # A spawn (vfork) of 1 ms; it needs no child watcher and no thread.
                self._reaper = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _LAUNCH, *arguments],
                    cwd=cwd,
                    env=dict(env),
                    stdin=source,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self._control.close()
            os.close(self._output)
            raise ToolError(f"the command could not be started: {error}") from error
        finally:
            theirs.close()
            os.close(output)
        os.set_blocking(self._output, False)
        self._control.setblocking(False)
        self._loop.add_reader(self._output, self._read_output)
        self._loop.add_reader(self._control, self._read_control)

    @property
    def pid(self) -> int:
        """Of the reaper."""
        return self._reaper.pid

    def _read_output(self) -> None:
        data = self._read(lambda: os.read(self._output, _CHUNK))
        if data is None:
            return
        if data:
            self._capture.feed(data)
        else:
            self._loop.remove_reader(self._output)
            self._drained.set()

    def _read_control(self) -> None:
        data = self._read(lambda: self._control.recv(_CHUNK))
        if data is None:
            return
        self._said += data
        if not data:
            self._loop.remove_reader(self._control)
            self.ended.set()

    @staticmethod
    def _read(read: Callable[[], bytes]) -> bytes | None:
        try:
            return read()
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    async def end(self) -> None:
        """End every process of the command and let go of the pipes, even while being cancelled."""
        cleanup = asyncio.ensure_future(self._end())
        cancelled = False
        while not cleanup.done():
            try:
                await asyncio.shield(cleanup)
            except asyncio.CancelledError:
                cancelled = True  # again: what runs must not outlive the call
        if cancelled:
            raise asyncio.CancelledError

    async def _end(self) -> None:
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)  # the reaper's sign to end everything
        try:
            async with asyncio.timeout(_END_S):
                await self.ended.wait()
        except TimeoutError:
            self._kill()
        while self._reaper.poll() is None:  # noqa: ASYNC110 - it is ending: a watcher costs more
            await asyncio.sleep(0.001)
        if b"exit " not in self._said:
            self._kill()  # somebody killed the reaper: its child's session is what is left
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self._drained.wait()
        self._loop.remove_reader(self._output)
        self._loop.remove_reader(self._control)
        self._capture.close()
        self._control.close()
        os.close(self._output)

    def _kill(self) -> None:
        child = self._words("started")
        with suppress(OSError):
            if child:
                os.killpg(int(child[0]), signal.SIGKILL)
        if self._reaper.poll() is None:
            self._reaper.kill()

    def _words(self, first: str) -> list[str]:
        for line in self._said.decode().splitlines():
            words = line.split()
            if words and words[0] == first:
                return words[1:]
        return []

    def completed(self, *, timed_out: bool) -> Completed:
        """What the command came to."""
        words = self._words("exit")
        code, left = (int(words[0]), int(words[1])) if words else (-signal.SIGKILL, 0)
        output = self._capture.text()
        if left and not timed_out:
            processes = "1 process" if left == 1 else f"{left} processes"
            gap = "" if not output or output.endswith("\n") else "\n"
            output += f"{gap}[{processes} left in the background ended with the command]\n"
        return Completed(
            exit_code=code,
            output=output,
            total_bytes=self._capture.total,
            is_truncated=self._capture.is_truncated,
            timed_out=timed_out,
        )


async def _ended(process: _Process, bound: Bound | None) -> None:
    """Wait for the end; what takes too much memory meanwhile is ended."""
    if bound is None:
        await process.ended.wait()
        return
    watch = asyncio.ensure_future(bound.watch(process.pid))
    ended = asyncio.ensure_future(process.ended.wait())
    try:
        await asyncio.wait({watch, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        ended.cancel()


def _input(data: bytes | None) -> IO[bytes]:
    """A file to read from: a process never waits for a person, and no pipe can fill up."""
    if not data:
        return Path(os.devnull).open("rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.seek(0)
    return file


def _shell() -> str:
    return next((shell for shell in _SHELLS if Path(shell).exists()), "sh")
