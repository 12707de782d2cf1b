"""A provider of one profile: one wire format over the process's HTTP client, one try per call."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from codetether_ray.core.errors import (
    CodetetherError,
    ConnectionLostError,
    MalformedResponseError,
)
from codetether_ray.core.masking import Masker
from codetether_ray.core.models import (
    Finished,
    ModelInfo,
    ModelRequest,
    ModelResponse,
    StreamEvent,
)
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.providers.catalog import find
from codetether_ray.providers.failures import failure, failure_in_body
from codetether_ray.providers.http import HttpClient, HttpResponse
from codetether_ray.providers.permits import Permits
from codetether_ray.providers.profiles import Profile
from codetether_ray.providers.sse import SseParser
from codetether_ray.providers.wire import Assembler, WireFormat


class WireProvider:
    """Asks once and streams the answer. `providers.retry.Retrying` asks again where that helps.

    Keeps true: no error holds the key, whatever the server says back.
    """

    def __init__(
        self,
        profile: Profile,
        wire: WireFormat,
        http: HttpClient,
        *,
        clock: Clock,
        permits: Permits,
        secret: ProviderSecret | None = None,
        base_url: str = "",
    ) -> None:
        self.name = profile.id
        self._profile = profile
        self._wire = wire
        self._http = http
        self._clock = clock
        self._permits = permits
        self._url = _url(base_url or profile.base_url, wire.path)
        self._headers = _headers(profile, secret)
        self._secret = secret

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Ask, and yield what comes; the last event is `Finished`."""
        try:
            async with aclosing(self._stream(request)) as events:
                async for event in events:
                    yield event
        except CodetetherError as error:
            raise _masked(error, self._secret) from None  # its cause quotes the same bytes

    async def _stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        body = self._wire.encode(request)
        assembler = self._wire.assembler(request, len(body))
        headers = self._headers
        for rule in self._profile.rules_of(request.model):
            headers = {**headers, **rule.headers}
        if request.traceparent:
            headers = {**headers, "traceparent": request.traceparent}
        await self._permits.take()
        async with self._http.post(self.name, self._url, headers, body) as response:
            await self._permits.report(response.status, response.headers)
            await self._check(response)
            async for event in self._events(response, assembler):
                yield event
        yield Finished(response=self._priced(request, assembler.response()))

    def info(self, model: str) -> ModelInfo | None:
        """What the catalogue knows."""
        return find(self.name, model)

    async def aclose(self) -> None:
        """Nothing: the connections belong to the process's client."""

    async def _check(self, response: HttpResponse) -> None:
        """Raise what an answer that is no stream stands for."""
        if response.status == 200 and response.content_type != "application/json":
            return
        body = await response.body()
        if response.status != 200:
            raise failure(self.name, response.status, response.headers, body, self._clock.now())
        raise _error_under_200(self.name, body)

    async def _events(
        self, response: HttpResponse, assembler: Assembler
    ) -> AsyncGenerator[StreamEvent, None]:
        parser = SseParser()
        while chunk := await response.read():
            try:
                found = parser.feed(chunk)
            except ValueError as error:
                raise MalformedResponseError(self.name, str(error)) from error
            for sse in found:
                for event in assembler.feed(sse):
                    yield event
            if assembler.is_complete:
                await response.drain()
                return
        for sse in parser.close():
            for event in assembler.feed(sse):
                yield event
        if not (assembler.is_complete or assembler.ends()):
            raise ConnectionLostError(self.name, "the stream ended before the answer was whole")

    def _priced(self, request: ModelRequest, response: ModelResponse) -> ModelResponse:
        known = self.info(request.model)
        if response.cost_usd is not None or known is None or known.price is None:
            return response
        return replace(response, cost_usd=known.price.cost_usd(response.usage))


def _url(base: str, path: str) -> str:
    """The address of a call; people write a base with and without the version."""
    version = "/v1" if path.startswith("/v1/") else ""
    return base.rstrip("/").removesuffix(version) + path


def _headers(profile: Profile, secret: ProviderSecret | None) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        **profile.headers,
    }
    if secret is None:
        return headers
    if secret.api_key:
        headers[profile.key_header] = profile.key_prefix + secret.api_key
    if secret.organization:
        headers["OpenAI-Organization"] = secret.organization
    return {**headers, **secret.headers}


def _masked(error: CodetetherError, secret: ProviderSecret | None) -> CodetetherError:
    """The same error without the key; servers quote what they refuse."""
    known = (secret.api_key, *secret.headers.values(), *secret.extra.values()) if secret else ()
    mask = Masker(value for value in known if value)
    return type(error)(*(mask(a) if isinstance(a, str) else a for a in error.args))


def _error_under_200(provider: str, body: bytes) -> CodetetherError:
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if isinstance(data, dict) and (data.get("error") or data.get("type") == "error"):
        return failure_in_body(provider, data)
    said = body[:200].decode("utf-8", "replace")
    return MalformedResponseError(provider, f"a body instead of a stream: {said!r}")
