"""The event loop of an ingress: uvloop, but for the commands that it starts.

uvloop makes a command's process by a fork of its own, whose child takes Python's locks before it
becomes that command: where a thread of this process held one, it hangs for ever, and its parent
with it. Agents start commands all the time, so here they are started by `subprocess`.
"""

import asyncio
from asyncio import unix_events
from typing import Any, cast

import uvloop


class IngressLoop(uvloop.Loop):
    """uvloop that starts commands as asyncio does."""

    async def subprocess_exec(  # type: ignore[override]
        self,
        protocol_factory: Any,
        program: Any,
        *args: Any,
        stdin: Any = asyncio.subprocess.PIPE,
        stdout: Any = asyncio.subprocess.PIPE,
        stderr: Any = asyncio.subprocess.PIPE,
        **more: Any,
    ) -> Any:
        """See `asyncio.loop.subprocess_exec`."""
        return await self._start((program, *args), False, protocol_factory, stdin, stdout, stderr,
                                 more)  # fmt: skip

    async def subprocess_shell(
        self,
        protocol_factory: Any,
        cmd: Any,
        *,
        stdin: Any = asyncio.subprocess.PIPE,
        stdout: Any = asyncio.subprocess.PIPE,
        stderr: Any = asyncio.subprocess.PIPE,
        **more: Any,
    ) -> Any:
        """See `asyncio.loop.subprocess_shell`."""
        return await self._start(cmd, True, protocol_factory, stdin, stdout, stderr, more)

    async def _start(
        self, command: Any, shell: bool, factory: Any, stdin: Any, stdout: Any, stderr: Any,
        more: dict[str, Any],
    ) -> tuple[Any, Any]:  # fmt: skip
        for plain in ("universal_newlines", "shell", "encoding", "errors", "text"):
            more.pop(plain, None)
        more.setdefault("bufsize", 0)
        waiter = self.create_future()
        protocol = factory()
        made: Any = cast("Any", unix_events)._UnixSubprocessTransport
        transport = made(
            self, protocol, command, shell, stdin, stdout, stderr, waiter=waiter, **more
        )
        watcher = asyncio.get_child_watcher()  # a thread waits for the process' end
        watcher.add_child_handler(transport.get_pid(), self._ended, transport)
        try:
            await waiter
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport, protocol

    def _ended(self, _: int, code: int, transport: Any) -> None:
        transport._process_exited(code)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for an ingress."""
    return IngressLoop()
