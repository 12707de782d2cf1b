"""What a worker shares of its cognition in heartbeats, and the switches that keep it private."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from codetether_ray.core.codec import JsonObject

_PREFIX = "CODETETHER_WORKER_COGNITION_"
SHARE, SOURCE = f"{_PREFIX}SHARE_ENABLED", f"{_PREFIX}SOURCE_URL"
THOUGHTS, MAX_CHARS = f"{_PREFIX}INCLUDE_THOUGHTS", f"{_PREFIX}THOUGHT_MAX_CHARS"
TIMEOUT, TOKEN = f"{_PREFIX}TIMEOUT_MS", f"{_PREFIX}TOKEN"
SUSPENDED_S = 300.0
"""Nothing is shared for so long after a platform refused it."""
_STATUS = (
    "running", "last_tick_at", "active_persona_count", "events_buffered", "snapshots_buffered",
    "loop_interval_ms",
)  # fmt: skip
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOCAL_SOURCE = "http://127.0.0.1:4096"
_OFF = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What may be shared, and where it comes from."""

    is_enabled: bool = True
    source: str = LOCAL_SOURCE
    has_thoughts: bool = True
    max_chars: int = 480
    timeout_s: float = 2.5


def sharing_of(env: Mapping[str, str]) -> Sharing:
    """The switches of the environment; what is no number counts as not set, small ones as least."""
    return Sharing(
        is_enabled=env.get(SHARE, "").strip().lower() not in _OFF,
        source=env.get(SOURCE, "").strip().rstrip("/") or LOCAL_SOURCE,
        has_thoughts=env.get(THOUGHTS, "").strip().lower() not in _OFF,
        max_chars=max(120, _number(env.get(MAX_CHARS), 480)),
        timeout_s=max(250, _number(env.get(TIMEOUT), 2500)) / 1000,
    )


def source_token(env: Mapping[str, str], source: str, local: str = "") -> str:
    """The token to read the source with: the one for it, else this machine's server's for its own.

    A server's token goes to loopback addresses alone.
    """
    given = env.get(TOKEN, "")
    if given:
        return given
    host = urlsplit(source).hostname or ""
    return (env.get("CODETETHER_AUTH_TOKEN", "") or local) if host in _LOOPBACK else ""


class Cognition:
    """Reads what there is to share, each time anew. It never raises: it shares nothing then."""

    def __init__(
        self, sharing: Sharing, token: str = "", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._sharing, self._token, self._now = sharing, token, now
        self._silent_until = 0.0

    def suspend(self) -> None:
        """The platform does not want it: share nothing for a while."""
        self._silent_until = self._now() + SUSPENDED_S

    async def shared(self) -> JsonObject | None:
        """What to put into a heartbeat; None: nothing."""
        if not self._sharing.is_enabled or self._now() < self._silent_until:
            return None
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        limits = aiohttp.ClientTimeout(total=self._sharing.timeout_s)
        try:
            async with aiohttp.ClientSession(headers=headers, timeout=limits) as http:
                status = await self._read(http, "status")
                if status is None:
                    return None
                has_thoughts = self._sharing.has_thoughts
                snapshot = await self._read(http, "snapshots/latest") if has_thoughts else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        return payload(status, snapshot, self._sharing.max_chars)

    async def _read(self, http: aiohttp.ClientSession, what: str) -> dict[str, Any] | None:
        url = f"{self._sharing.source}/v1/cognition/{what}"
        async with http.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            told = await answer.json(content_type=None)
        return told if isinstance(told, dict) else None


def payload(status: dict[str, Any], snapshot: dict[str, Any] | None, max_chars: int) -> JsonObject:
    """What is shared of a status and, where thoughts may be, of the latest snapshot."""
    shared: JsonObject = {name: status[name] for name in _STATUS if name in status}
    if not snapshot:
        return shared
    thought = snapshot.get("summary")
    if isinstance(thought, str) and thought:
        shared["latest_thought"] = _cut(thought, max_chars)
    metadata = snapshot.get("metadata")
    more = metadata if isinstance(metadata, dict) else {}
    for name, value in (
        ("latest_snapshot_at", snapshot.get("generated_at")),
        ("latest_thought_model", more.get("model")),
        ("latest_thought_source", more.get("source")),
    ):
        if isinstance(value, str) and value:
            shared[name] = _cut(value, 200)
    return shared


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "..."


def _number(text: str | None, otherwise: int) -> int:
    try:
        return int((text or "").strip())
    except ValueError:
        return otherwise
