"""Reads the cards of peers, and what they tell of others: bounded, without following redirects.

Where a peer's address was only heard of, it is reached at public addresses alone, unless whoever
told of it is at a private one as well.
"""

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from codetether_ray.a2a.peers import PEER_EXTENSION
from codetether_ray.core.errors import PeerAccessError, PeerError
from codetether_ray.ports.peers import KnownPeer, PeerSkill

PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
PROBE_S = 5.0
"""For all that is tried to find one card."""
_MOST_BYTES = 512_000
_MOST_SKILLS, _MOST_NAME, _MOST_TEXT = 30, 100, 500
_NO_ACCESS = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An agent's card as it is served."""

    base: str
    """Where it was found, without the well-known path."""
    data: dict[str, Any]
    is_private: bool
    """Whether that is this machine or a private network."""

    @property
    def peer(self) -> KnownPeer:
        """Who it is of."""
        return replace(_peer(self.base, self.data), is_private=self.is_private)


class CardReader:
    """Asks peers over HTTP; one of them per user of it."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> "CardReader":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def card(self, url: str, token: str, *, may_be_private: bool = True) -> Card:
        """The card of the agent at a URL, or at its `/a2a`.

        Raises:
            PeerAccessError: it shows its card to those alone who have a token.
            PeerError: there is none.
        """
        refused = False
        try:
            async with asyncio.timeout(PROBE_S):
                for base in _bases(url):
                    for path in PATHS:
                        status, data = await self._get(base + path, token, may_be_private)
                        refused = refused or status in _NO_ACCESS
                        if status == 200 and _is_card(data):
                            private = await is_private(base)
                            return Card(base=base, data=data, is_private=private)
        except TimeoutError:
            raise PeerError(url, "it does not answer in time") from None
        if refused:
            raise PeerAccessError(url, "it wants a token for its card")
        raise PeerError(url, "there is no agent's card")

    async def peers_of(
        self, base: str, token: str, *, may_be_private: bool = True
    ) -> tuple[str, ...]:
        """The URLs of those whom one of ours knows; none where it does not tell.

        Raises:
            PeerError: it does not answer.
        """
        try:
            async with asyncio.timeout(PROBE_S):
                status, data = await self._get(base + "/v1/peers", token, may_be_private)
        except TimeoutError:
            raise PeerError(base, "it does not answer in time") from None
        told = data.get("peers") if status == 200 and isinstance(data, dict) else None
        if not isinstance(told, list):
            return ()
        urls = (one.get("url") for one in told if isinstance(one, dict))
        return tuple(url for url in urls if isinstance(url, str))

    async def introduce(
        self, base: str, token: str, me: Mapping[str, str], *, may_be_private: bool = True
    ) -> None:
        """Tell one of ours who we are.

        Raises:
            PeerAccessError: it does not take that from us.
            PeerError: it does not answer.
        """
        try:
            async with asyncio.timeout(PROBE_S):
                status, _ = await self._ask(
                    "POST", base + "/v1/peers/introduce", token, may_be_private, dict(me)
                )
        except TimeoutError:
            raise PeerError(base, "it does not answer in time") from None
        if status in _NO_ACCESS:
            raise PeerAccessError(base, "the token does not allow introductions (peers:write)")
        if status >= 300:
            raise PeerError(base, f"it answers an introduction with {status}")

    async def close(self) -> None:
        """Let go of connections."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def _get(self, url: str, token: str, may_be_private: bool) -> tuple[int, Any]:
        return await self._ask("GET", url, token, may_be_private, None)

    async def _ask(
        self, method: str, url: str, token: str, may_be_private: bool, body: Any
    ) -> tuple[int, Any]:
        """Status, and the JSON of an answer with status 200 (None: it is none)."""
        from codetether_ray.a2a.push_addresses import is_literal, is_public

        host = urlsplit(url).hostname or ""
        if not may_be_private and is_literal(host) and not is_public(host):
            raise PeerError(url, "it is no public address, and was only heard of")
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        session = self._session(may_be_private)
        try:
            async with session.request(
                method, url, headers=headers, json=body, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return response.status, None
                return 200, _json(await _bounded(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise PeerError(_origin(url), f"it does not answer: {_reason(error)}") from None

    def _session(self, may_be_private: bool) -> aiohttp.ClientSession:
        if may_be_private not in self._sessions:
            from codetether_ray.a2a.push_addresses import PublicResolver

            resolver = None if may_be_private else PublicResolver()
            self._sessions[may_be_private] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=64),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._sessions[may_be_private]


async def is_private(url: str) -> bool:
    """Whether a URL's host is, or may be, this machine or in a private network."""
    from codetether_ray.a2a.push_addresses import is_literal, is_public

    host = urlsplit(url).hostname or ""
    if is_literal(host):
        return not is_public(host)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return not all(is_public(str(place[0])) for *_, place in found)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for piece in response.content.iter_chunked(65_536):
        found += piece
        if len(found) > _MOST_BYTES:
            return b""
    return bytes(found)


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    words = getattr(cause, "strerror", None) or str(cause) or type(error).__name__
    return str(words)[:200]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _bases(url: str) -> tuple[str, ...]:
    """Where a card may be: a server of ours has its card above its endpoint `/a2a`."""
    if url.endswith("/a2a"):
        return url.removesuffix("/a2a"), url
    return url, f"{url}/a2a"


def _is_card(data: Any) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return False
    return bool(data["name"].strip()) and bool(data.get("supportedInterfaces") or data.get("url"))


def _peer(base: str, data: dict[str, Any]) -> KnownPeer:
    given = data.get("skills")
    skills = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return KnownPeer(
        name=_text(data.get("name"), _MOST_NAME),
        url=base,
        description=_text(data.get("description"), _MOST_TEXT),
        skills=tuple(
            PeerSkill(
                name=_text(one.get("name") or one.get("id"), _MOST_NAME),
                description=_text(one.get("description"), _MOST_TEXT),
            )
            for one in skills[:_MOST_SKILLS]
        ),
        instance=_instance(data),
    )


def _instance(data: dict[str, Any]) -> str:
    capabilities = data.get("capabilities")
    found = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and one.get("uri") == PEER_EXTENSION:
            params = one.get("params")
            return _text(params.get("instance"), 64) if isinstance(params, dict) else ""
    return ""


def _text(value: Any, limit: int) -> str:
    """Text on one line, without control characters, cut."""
    if not isinstance(value, str):
        return ""
    flat = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return flat[:limit]
