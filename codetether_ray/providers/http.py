"""The one HTTP client of a process: a shared connection pool, and clocks on every call.

aiohttp, by measurement (docs/adr/0002-http-client.md). The library is imported at the first call,
so that who only names providers does not load it.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from codetether_ray import __version__
from codetether_ray.core.errors import ConnectionLostError

if TYPE_CHECKING:
    import aiohttp

_LARGE_BODY_BYTES = 1_000_000  # aiohttp wants larger ones as a file, to write them piecewise
_KEEP_ALIVE_S = 60.0
_HEADERS = {"User-Agent": f"codetether-ray/{__version__}", "Accept-Encoding": "identity"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How long a call may take, in seconds; None is for ever.

    `first_byte_s` runs from the request to the first byte of the body, `idle_s` between bytes
    after that, `call_s` over all.
    """

    connect_s: float = 10.0
    first_byte_s: float | None = 300.0
    idle_s: float | None = 120.0
    call_s: float | None = 3600.0


DEFAULT_CLOCKS = Clocks()


class HttpResponse:
    """A response whose body is still to come."""

    def __init__(
        self, provider: str, response: "aiohttp.ClientResponse", deadlines: "_Deadlines"
    ) -> None:
        self._provider = provider
        self._response = response
        self._deadlines = deadlines
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        """Case-insensitive."""

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self._response.content_type

    async def read(self) -> bytes:
        """The next piece of the body, as it comes; empty at its end.

        Raises:
            ConnectionLostError: it broke off, or a clock ran out.
        """
        content = self._response.content
        chunk = b""
        while not chunk and not content.at_eof():
            with _worded(self._provider):
                chunk = content.read_nowait() or await self._deadlines.bound(content.readany())
        self._deadlines.has_begun |= bool(chunk)
        return chunk

    async def drain(self, wait_s: float = 0.5) -> None:
        """Read to the end, if it comes soon, so that the connection can serve again."""
        content = self._response.content
        if content.is_eof():
            return
        try:
            with _worded(self._provider):
                async with asyncio.timeout(wait_s):
                    while not content.is_eof():
                        await content.readany()
        except ConnectionLostError:
            return  # all that matters has come

    async def body(self, limit: int = 1_000_000) -> bytes:
        """The body, up to about `limit` bytes."""
        found = bytearray()
        while len(found) <= limit and (chunk := await self.read()):
            found += chunk
        return bytes(found)


class _Deadlines:
    """When each clock of one call runs out."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._now = asyncio.get_running_loop().time
        self._started = self._now()
        self.has_begun = False
        """Whether the first byte of the body is there."""

    async def bound(self, step: Awaitable[T]) -> T:
        """Await `step` for as long as the clocks allow."""
        end, what = self._next()
        try:
            async with asyncio.timeout_at(end):
                return await step
        except TimeoutError as error:
            if str(error):  # not ours: a clock of the library
                raise
            raise TimeoutError(what) from None

    def _next(self) -> tuple[float | None, str]:
        clocks = self._clocks
        if self.has_begun:
            soon = None if clocks.idle_s is None else self._now() + clocks.idle_s
            what = f"silent for {clocks.idle_s} s"
        else:
            soon = None if clocks.first_byte_s is None else self._started + clocks.first_byte_s
            what = f"no first byte in {clocks.first_byte_s} s"
        last = None if clocks.call_s is None else self._started + clocks.call_s
        if last is not None and (soon is None or last < soon):
            return last, f"not finished in {clocks.call_s} s"
        return soon, what


class HttpClient:
    """One session of connections, made in the running loop at the first call.

    Keep one per process; every provider shares it. Calls after `aclose` make a new session.
    """

    def __init__(self, *, clocks: Clocks = DEFAULT_CLOCKS) -> None:
        self.clocks = clocks
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def post(
        self,
        provider: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        clocks: Clocks | None = None,
    ) -> AsyncIterator[HttpResponse]:
        """Send `body`; the response's headers are there, its body is read from it.

        Leaving the context ends the call on the wire if it is not over.

        Raises:
            ConnectionLostError: no connection, or it broke, or a clock ran out. `provider` words
                the sentence.
        """
        deadlines = _Deadlines(clocks or self.clocks)
        session = self._open_session()
        with _worded(provider):
            data = body if len(body) < _LARGE_BODY_BYTES else io.BytesIO(body)
            response = await deadlines.bound(session.post(url, data=data, headers=headers))
        try:
            yield HttpResponse(provider, response, deadlines)
        finally:
            response.close() if not response.content.is_eof() else response.release()

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    def _open_session(self) -> "aiohttp.ClientSession":
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop or self._session.closed:
            self._session, self._loop = self._make_session(), loop
        return self._session

    def _make_session(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - 0.15 s that who only names providers does not pay

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEEP_ALIVE_S, ttl_dns_cache=300
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.clocks.connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
        )


class _worded:  # noqa: N801 - reads as a verb; a class, since it is entered for every chunk
    """Turns the library's errors into ours."""

    __slots__ = ("_provider",)

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raise our own error for a lost connection; let the rest pass."""
        if isinstance(error, Exception):
            detail = _told(error)
            if detail:
                raise ConnectionLostError(self._provider, detail) from error


def _told(error: Exception) -> str:
    """What happened to the connection; empty if nothing did."""
    import aiohttp  # noqa: PLC0415 - loaded by now

    if isinstance(error, TimeoutError):
        return str(error) or "timed out"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port} ({error.os_error})"
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return f"the connection broke ({str(error) or type(error).__name__})"
    return ""
