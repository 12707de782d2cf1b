"""Notes every request for the audit log, without keeping its answer waiting.

Rows are gathered and written a quarter of a second later, in one batch, where the truth is. Of
refusals from one address the first few in ten seconds are written one by one, the others as one row
with their number. Nothing is noted but who, what path, how it ended and how long it took: no body,
no query, no token.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.gate_failures import network_of

Row = tuple[str, str, str, str, str, int, JsonObject]
"""See `bootstrap.auditing.requests`."""
Write = Callable[[list[Row]], Awaitable[None]]

_LINGER_S = 0.25
_LONGEST_PAUSE_S = 16.0
"""Between tries to write where writing fails."""
_WINDOW_S = 10.0
_SINGLY = 5
"""Refusals of one address in a window that are written one by one."""
_MOST_ROWS = 20_000
"""Kept for a disk that takes nothing; more are counted."""
_MOST_ADDRESSES = 1_000
_BATCH = 1_000
_TEXT = 300  # characters of a path
_ANYBODY = "anonymous"
_DENIED = frozenset({"401", "403", "429", "UNAUTHENTICATED", "PERMISSION_DENIED",
                     "RESOURCE_EXHAUSTED"})  # fmt: skip
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flood:
    """Refusals of one address in the window."""

    count: int = 0
    status: str = ""


class BatchedLog:
    """A `RequestLog` that hands batches to `write`."""

    def __init__(self, write: Write, ending: Callable[[], Awaitable[None]] | None = None) -> None:
        """`ending` is awaited by `close`, after the last batch."""
        self._write, self._ending = write, ending
        self._rows: list[Row] = []
        self._lost = 0
        self._floods: dict[str, _Flood] = {}
        self._writer: asyncio.Task[None] | None = None
        self._window: asyncio.TimerHandle | None = None

    def passed(
        self, principal: Principal, transport: str, request: str, status: str, ended_ms: int
    ) -> None:
        """See `RequestLog.passed`."""
        action, resource = _words(transport, request)
        outcome = _outcome(status)
        detail: JsonObject = {"status": status}
        self._add(("api", action, resource, f"user:{principal.owner}", outcome, ended_ms, detail))

    def refused(
        self, principal: Principal | None, transport: str, request: str, status: str, address: str
    ) -> None:
        """See `RequestLog.refused`."""
        key = network_of(address)
        if key not in self._floods and len(self._floods) >= _MOST_ADDRESSES:
            key = "others"
        flood = self._floods.setdefault(key, _Flood())
        flood.count += 1
        flood.status = status
        if self._window is None:
            loop = asyncio.get_running_loop()
            self._window = loop.call_later(_WINDOW_S, self._sum_up)
        if flood.count > _SINGLY:
            return
        action, resource = _words(transport, request)
        who = f"user:{principal.owner}" if principal is not None else _ANYBODY
        detail: JsonObject = {"status": status, "address": address[:_TEXT]}
        self._add(("auth", action, resource, who, _outcome(status), 0, detail))

    def event(self, principal: Principal, kind: str, resource: str) -> None:
        """See `RequestLog.event`."""
        action = f"cloudevents:{kind}".encode("utf-8", "replace").decode("utf-8")[:_TEXT]
        self._add(("api", action, resource, f"user:{principal.owner}", "success", 0, {}))

    async def close(self) -> None:
        """Write what waits."""
        self._sum_up()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._rows:
            await self._send()
        if self._ending is not None:
            await self._ending()

    def _sum_up(self) -> None:
        """One row for each address of which more was refused than was written."""
        if self._window is not None:
            self._window.cancel()
        self._window = None
        floods, self._floods = self._floods, {}
        for address, flood in floods.items():
            if (others := flood.count - _SINGLY) > 0:
                detail: JsonObject = {"status": flood.status, "address": address, "count": others}
                self._add(("auth", "refused", "", _ANYBODY, "denied", 0, detail))

    def _add(self, row: Row) -> None:
        if len(self._rows) >= _MOST_ROWS:
            self._lost += 1
            return
        self._rows.append(row)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write_soon(self) -> None:
        pause_s = _LINGER_S
        while self._rows:
            await asyncio.sleep(pause_s)
            pause_s = _LINGER_S if await self._send() else min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _send(self) -> bool:
        """Write what waits; what cannot be written (False) is kept for the next time."""
        rows, self._rows = self._rows, []
        if self._lost:
            rows.append(_lost(self._lost))
            self._lost = 0
        for at in range(0, len(rows), _BATCH):
            try:
                await self._write(rows[at : at + _BATCH])
            except (CodetetherError, OSError) as error:
                self._rows = [*rows[at:], *self._rows][:_MOST_ROWS]
                _LOG.warning("requests could not be written to the audit log: %s", error)
                return False
        return True


def _words(transport: str, request: str) -> tuple[str, str]:
    """Action and resource: `http:GET` and the path, `grpc` and the method."""
    clean = request.encode("utf-8", "replace").decode("utf-8")[:_TEXT]
    if transport == "http":
        method, _, path = clean.partition(" ")
        return f"http:{method}", path
    return transport, clean


def _outcome(status: str) -> str:
    if status in _DENIED:
        return "denied"
    is_well = status == "OK" or (status.isdigit() and int(status) < 400)
    return "success" if is_well else "failure"


def _lost(count: int) -> Row:
    return ("auth", "requests.unwritten", "", _ANYBODY, "failure", 0, {"count": count})
