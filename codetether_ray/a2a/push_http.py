"""Posts push notifications: signed, tried several times, to where they may go and nowhere else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import aiohttp
from a2a.types import InvalidParamsError, StreamResponse, TaskPushNotificationConfig
from google.protobuf.json_format import MessageToJson

from codetether_ray.a2a.push_addresses import (
    NotPublicError,
    PublicResolver,
    check_url,
    is_literal,
    is_public,
    parse_url,
)
from codetether_ray.ports.clock import Clock

Sign = Callable[[bytes, str], Awaitable[str]]
"""Makes a JWT over a body's bytes, for the task whose id is given."""

SIGNATURE = "X-A2A-Notification-Signature"
_TOKENS = ("X-A2A-Notification-Token", "A2A-Notification-Token")
"""The protocol names no header for a configuration's token; its SDKs use these."""
_PAUSES_S = (1.0, 4.0, 15.0, 60.0)
_TRY_S = 15.0
_AGAIN = frozenset({408, 425, 429})
_log = logging.getLogger(__name__)


class HttpPushes:
    """The sender over HTTP. Redirects are not followed; the answer's body is not read."""

    def __init__(
        self,
        clock: Clock,
        *,
        sign: Sign | None = None,
        allows_private: bool = False,
        pauses_s: tuple[float, ...] = _PAUSES_S,
    ) -> None:
        self._clock = clock
        self._sign = sign
        self._allows_private = allows_private
        self._pauses = pauses_s
        self._session: aiohttp.ClientSession | None = None

    async def check(self, config: TaskPushNotificationConfig) -> None:
        """See `PushSender.check`."""
        await check_url(config.url, allows_private=self._allows_private)
        said = (config.token, config.authentication.scheme, config.authentication.credentials)
        if not all(text.isascii() and text.isprintable() for text in said if text):
            raise InvalidParamsError("token and authentication must be printable ASCII")

    async def send(self, config: TaskPushNotificationConfig, event: StreamResponse) -> bool:
        """See `PushSender.send`. What a receiver refuses (4xx) is not tried again."""
        body = MessageToJson(event, indent=None).encode()
        for pause in (*self._pauses, None):
            try:
                status = await self._post(config, body)
            except (OSError, TimeoutError, ValueError) as error:
                _log.warning("task %s: a push failed: %s", config.task_id, error)
                if isinstance(error, (NotPublicError, ValueError)):
                    return False
            else:
                if status < 300:
                    return True
                _log.warning("task %s: a push was answered with %d", config.task_id, status)
                if status < 500 and status not in _AGAIN:
                    return False
            if pause is not None:
                await self._clock.sleep(pause)
        return False

    async def close(self) -> None:
        """See `PushSender.close`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, config: TaskPushNotificationConfig, body: bytes) -> int:
        host = parse_url(config.url).hostname or ""
        if not self._allows_private and is_literal(host) and not is_public(host):
            raise NotPublicError(f"{host} is no public address")
        headers = await self._headers(config, body)
        try:
            async with (
                asyncio.timeout(_TRY_S),
                self._opened().post(
                    config.url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                return response.status
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublicError):
                raise error.os_error from None
            raise
        except aiohttp.ClientError as error:
            raise OSError(str(error)) from error

    async def _headers(self, config: TaskPushNotificationConfig, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/a2a+json", "A2A-Version": "1.0"}
        if config.token:
            headers |= dict.fromkeys(_TOKENS, config.token)
        how = config.authentication
        if how.scheme and how.credentials:
            headers["Authorization"] = f"{how.scheme} {how.credentials}"
        if self._sign is not None:
            headers[SIGNATURE] = await self._sign(body, config.task_id)
        return headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._allows_private else PublicResolver()
            connector = aiohttp.TCPConnector(
                resolver=resolver, use_dns_cache=False, force_close=True
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session
