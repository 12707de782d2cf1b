"""An ingress as whoever orders a run reaches it: what goes there, what comes back, over HTTP.

No Ray is needed here. The token is read as for every other question (`truth.credentials`).
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp

from codetether_ray.bootstrap.truth.credentials import token_for
from codetether_ray.bootstrap.truth.http import told_error
from codetether_ray.bootstrap.truth.trusted import trusted
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError
from codetether_ray.core.events import Record
from codetether_ray.providers.sse import SseEvent, SseParser

_PIECE_BYTES = 1_000_000
_CONNECT_S = 10.0
_ANSWER_S = 600.0
"""For one answer: a run is on record before its order is answered, on a busy head."""
_QUIET_S = 75.0
"""A stream from which nothing came for so long, no keep-alive either, is dead."""
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Between tries to follow a run, as long as nothing comes."""
_END = "end"


class Door:
    """The control plane of one ingress. Each call raises what the ingress says, as its error."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self._http = http

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str) -> AsyncIterator[Self]:
        """A way to the ingress at a URL.

        Raises:
            ConfigError: the token, or whom to trust, cannot be read.
        """
        token = token_for(url, os.environ)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=_ANSWER_S)
        connector = aiohttp.TCPConnector(ssl=trusted(os.environ))
        async with aiohttp.ClientSession(
            headers=headers, timeout=limits, connector=connector
        ) as http:
            yield cls(url, http)

    async def upload(self, bundle: Path) -> str:
        """Have it keep a bundle for an order; its id there.

        Raises:
            CodetetherError: it does not take it.
        """
        found = await self._asked("POST", "/v1/bundles", data=_pieces(bundle))
        return str(found["id"])

    async def order(self, path: str, body: JsonObject) -> JsonObject:
        """Start a run: `/v1/swarms` or `/v1/prds`; what it answers, once the run is on record.

        Raises:
            CodetetherError: nothing was started.
        """
        return await self._asked("POST", path, json=body)

    async def cancel(self, run_id: str) -> None:
        """Have a run end as Ctrl-C would.

        Raises:
            CodetetherError: there is no such run, or the ingress does not answer.
        """
        await self._asked("POST", f"/v1/runs/{run_id}/cancel")

    async def look(self, run_id: str) -> JsonObject:
        """A run, with its result.

        Raises:
            CodetetherError: there is no such run, or the ingress does not answer.
        """
        return await self._asked("GET", f"/v1/runs/{run_id}")

    async def fetch(self, run_id: str, target: Path) -> None:
        """Write the bundle of a run's branches.

        Raises:
            CodetetherError: it has none, or the ingress does not answer.
        """
        async with self._answer("GET", f"/v1/runs/{run_id}/bundle") as answer:
            with target.open("wb") as file:
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    file.write(piece)

    async def follow(self, run_id: str, show: Callable[[Record], None]) -> None:
        """Show a run's records to its end, whatever becomes of connections meanwhile.

        Raises:
            CodetetherError: there is no such run, or the ingress does not answer any more.
        """
        last, pauses = "", iter(_PAUSES_S)
        while True:
            try:
                async for event in self._events(run_id, last):
                    if event.event == _END:
                        return
                    last, pauses = event.id, iter(_PAUSES_S)
                    show(Record.from_json(_json(event.data)))
            except ClusterError:
                pause = next(pauses, None)
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def _events(self, run_id: str, last: str) -> AsyncIterator[SseEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        parser, path = SseParser(), f"/v1/runs/{run_id}/events"
        quiet = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=_QUIET_S)
        async with self._answer("GET", path, headers=headers, timeout=quiet) as answer:
            async for chunk in answer.content.iter_any():
                for event in parser.feed(chunk):
                    yield event
        raise ClusterError(f"the ingress at {self.url} told the run no further")

    async def _asked(self, method: str, path: str, **more: Any) -> JsonObject:
        async with self._answer(method, path, **more) as answer:
            found = await answer.json()
        return dict(found)

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is no refusal.

        Raises:
            ClusterError: there is none.
            CodetetherError: what the ingress told of.
        """
        try:
            async with self._http.request(method, f"{self.url}{path}", **more) as answer:
                if answer.status >= 400:
                    raise told_error(self.url, answer.status, await _problem(answer))
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            words = str(error) or type(error).__name__
            raise ClusterError(f"the ingress at {self.url} does not answer: {words}") from None


async def _problem(answer: aiohttp.ClientResponse) -> JsonObject:
    try:
        found = await answer.json(content_type=None)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece


def _json(text: str) -> JsonObject:
    found: JsonObject = json.loads(text)
    return found
