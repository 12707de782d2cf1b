"""The platform as a worker reaches it: the calls of its protocol over HTTP."""

import json
import ssl
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import aiohttp

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.work import Ended, Heard, Worker
from codetether_ray.providers.sse import SseParser
from codetether_ray.worker.offers import Offer, offers_of

QUIET_S = 75.0
"""A stream from which nothing came for so long, no keep-alive either, is dead."""
_CALL_S = 30.0
_CONNECT_S = 10.0
_MOST_BYTES = 64 * 1024 * 1024


class PlatformError(CodetetherError):
    """The platform said no, or did not answer. `status` is 0 where there was no answer."""

    def __init__(self, what: str, status: int, detail: str) -> None:
        super().__init__(what, status, detail)
        self.what, self.status, self.detail = what, status, detail

    def __str__(self) -> str:
        said = f"HTTP {self.status}: " if self.status else ""
        return f"{self.what}: {said}{self.detail}"

    @property
    def is_final(self) -> bool:
        """Whether the same call again would be refused again."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)


class TokenRefusedError(PlatformError):
    """The platform does not know the token, or does not let it work."""

    exit_code = 4

    def __str__(self) -> str:
        return f"{self.what}: the platform does not accept the token ({self.detail})"


class Told(NamedTuple):
    """A server-sent event of the platform's."""

    event: str
    data: Any
    id: str


class PlatformClient:
    """The calls of one worker. Each raises `PlatformError` where the platform does not do it."""

    def __init__(
        self, server: str, token: str, me: Worker, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: how its certificate is looked at; None: as this machine does."""
        self._server = server.rstrip("/")
        headers = {"X-Worker-ID": me.id, "X-Agent-Name": _header(me.name)}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._me = me
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls or True),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=_CALL_S, connect=_CONNECT_S),
        )

    async def register(self) -> None:
        """Say who is here, and what it can do."""
        me = self._me
        body = {
            "worker_id": me.id,
            "name": me.name,
            "capabilities": list(me.capabilities),
            "hostname": me.hostname,
            "models": [_model(ref) for ref in me.models],
            "codebases": list(me.codebases),
        }
        await self._call("registering", "POST", "/v1/opencode/workers/register", body)

    async def pending(self) -> tuple[Offer, ...]:
        """What waits."""
        path = "/v1/opencode/tasks?status=pending"
        return offers_of(await self._call("asking for tasks", "GET", path))

    async def claim(self, task_id: str) -> int | None:
        """Have a task; the number of the claim, where the platform gives one."""
        path = "/v1/worker/tasks/claim"
        told = await self._call("claiming a task", "POST", path, {"task_id": task_id})
        lease = told.get("lease") if isinstance(told, dict) else None
        return lease if isinstance(lease, int) else None

    async def output(self, task_id: str, lease: int | None, seq: int, text: str) -> None:
        """Tell what was printed, as number `seq` of this claim."""
        body: JsonObject = {"worker_id": self._me.id, "output": text}
        if lease is not None:
            body |= {"lease": lease, "seq": seq}
        await self._call("sending output", "POST", f"/v1/opencode/tasks/{task_id}/output", body)

    async def release(self, task_id: str, lease: int | None, ended: Ended) -> None:
        """Be done with a task."""
        body: JsonObject = {
            "task_id": task_id,
            "status": ended.status,
            "result": ended.result or None,
            "error": ended.error or None,
            "session_id": ended.session_id or None,
        }
        if lease is not None:
            body["lease"] = lease
        await self._call("releasing a task", "POST", "/v1/worker/tasks/release", body)

    async def heartbeat(self, active: dict[str, int | None], cognition: JsonObject | None) -> Heard:
        """Say that the worker lives, and what it works on."""
        body: JsonObject = {
            "worker_id": self._me.id,
            "agent_name": self._me.name,
            "status": "processing" if active else "idle",
            "active_task_count": len(active),
        }
        if all(lease is not None for lease in active.values()):
            body["active_tasks"] = [{"task_id": id, "lease": n} for id, n in active.items()]
        if cognition is not None:
            body["cognition"] = cognition
        path = f"/v1/opencode/workers/{self._me.id}/heartbeat"
        told = await self._call("sending a heartbeat", "POST", path, body)
        return _heard(told if isinstance(told, dict) else {})

    async def stream(self, last_id: str) -> AsyncGenerator[Told | None, None]:
        """What the platform tells as it happens; None first, once the stream is open.

        It ends where the platform ends it.
        """
        headers = {
            "Accept": "text/event-stream",
            "X-Codebases": _header(",".join(self._me.codebases)),
        }
        if last_id:
            headers["Last-Event-ID"] = _header(last_id)
        query = {"agent_name": self._me.name, "worker_id": self._me.id}
        limits = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=QUIET_S)
        what, parser = "following the stream", SseParser()
        try:
            async with self._http.get(
                f"{self._server}/v1/worker/tasks/stream",
                params=query,
                headers=headers,
                timeout=limits,
            ) as answer:
                await _demand_success(what, answer)
                yield None
                async for chunk in answer.content.iter_any():
                    for found in parser.feed(chunk):
                        yield Told(found.event, _data(found.data), found.id)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise PlatformError(what, 0, _why(error)) from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    async def _call(self, what: str, method: str, path: str, body: Any = None) -> Any:
        try:
            async with self._http.request(method, f"{self._server}{path}", json=body) as answer:
                await _demand_success(what, answer)
                text = await _whole(answer, _MOST_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise PlatformError(what, 0, _why(error)) from error
        return _data(text)


async def _whole(answer: aiohttp.ClientResponse, most: int) -> str:
    """An answer's text, of at most about so many bytes: `read` alone gives what has come by now."""
    found = bytearray()
    while len(found) < most and (more := await answer.content.read(most)):
        found += more
    return found.decode("utf-8", "replace")


async def _demand_success(what: str, answer: aiohttp.ClientResponse) -> None:
    if answer.status // 100 == 2:
        return
    text = await _whole(answer, 20_000)
    told = _data(text)
    detail = told.get("detail") if isinstance(told, dict) else None
    said = detail if isinstance(detail, str) else " ".join(text.split())
    kind = TokenRefusedError if answer.status in (401, 403) else PlatformError
    raise kind(what, answer.status, said[:500] or answer.reason or "no reason given")


def _data(text: str) -> Any:
    """The JSON of a text; None where it is none (`[DONE]`, nothing)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _heard(told: dict[str, Any]) -> Heard:
    def ids(name: str) -> tuple[str, ...]:
        found = told.get(name)
        return tuple(id for id in found if isinstance(id, str)) if isinstance(found, list) else ()

    lease_s = told.get("lease_s")
    seconds = float(lease_s) if isinstance(lease_s, (int, float)) else 0.0
    return Heard(cancelled=ids("cancelled"), lost=ids("lost"), lease_s=seconds)


def _model(ref: str) -> JsonObject:
    provider, _, name = ref.partition("/")
    return {"id": ref, "name": name, "provider": provider, "provider_id": provider}


def _header(text: str) -> str:
    """A header's value: what it cannot hold is replaced."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _why(error: BaseException) -> str:
    text = str(error)
    return text if text and len(text) < 300 else type(error).__name__
