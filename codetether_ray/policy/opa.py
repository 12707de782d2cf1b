"""The policy of an OPA sidecar: one POST for each decision, no redirects, two seconds.

Isolation of owners and tenants stays ours: what OPA allows is still refused where a resource is
somebody else's and the roles do not reach it.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ConfigError
from codetether_ray.core.principals import Principal
from codetether_ray.policy import rules
from codetether_ray.policy.roles import Roles, own_roles
from codetether_ray.ports.policy import Resource

TIMEOUT_S = 2.0
PATH = "v1/data/api_keys/allow"
"""OPA_AUTHZ_PATH's default, the reference's."""
_MOST_ANSWER = 65_536  # bytes
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaOptions:
    """Where the sidecar is, and what counts when it does not answer."""

    url: str
    path: str = PATH
    fails_open: bool = False
    timeout_s: float = TIMEOUT_S

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "OpaOptions | None":
        """By OPA_URL, OPA_AUTHZ_PATH, OPA_FAIL_OPEN; None: no sidecar is named, or
        OPA_LOCAL_MODE=true says that none is used.

        Raises:
            ConfigError: OPA_URL is no http(s) address.
        """
        url = env.get("OPA_URL", "").strip()
        if not url or env.get("OPA_LOCAL_MODE", "").strip().lower() == "true":
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("OPA_URL must be an address like http://localhost:8181")
        return cls(
            url=url.rstrip("/"),
            path=env.get("OPA_AUTHZ_PATH", "").strip().strip("/") or PATH,
            fails_open=env.get("OPA_FAIL_OPEN", "").strip().lower() == "true",
        )


class OpaPolicy:
    """Asks the sidecar for every decision."""

    def __init__(self, options: OpaOptions, roles: Roles | None = None) -> None:
        """Ask where `options` says; `roles` decide on what is somebody else's."""
        self._options = options
        self._roles: Roles = own_roles() if roles is None else roles
        self._session: aiohttp.ClientSession | None = None

    async def allows(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> bool:
        """See `Policy.allows`."""
        if rules.is_kept_from(principal, permission):
            return False
        if resource is not None and not rules.reaches(self._roles, principal, resource):
            return False
        try:
            return await self._ask(question(principal, permission, resource))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            _LOG.warning(
                "the policy's sidecar did not answer well (%s): %s is %s",
                type(error).__name__,
                permission,
                "allowed, as OPA_FAIL_OPEN says" if self._options.fails_open else "refused",
            )
            return self._options.fails_open

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, body: JsonObject) -> bool:
        """Whether it says `true`.

        Raises:
            ValueError: it says neither true nor false, nor leaves it undefined.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._options.timeout_s)
            )
        url = f"{self._options.url}/{self._options.path}"
        async with (
            asyncio.timeout(self._options.timeout_s),
            self._session.post(url, json=body, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            return _verdict(await _bounded(response))


def question(principal: Principal, permission: str, resource: Resource | None) -> JsonObject:
    """The body that is sent: the reference's shape."""
    about = resource or Resource()
    named = {
        "type": about.type,
        "id": about.id,
        "owner_id": about.owner_id,
        "tenant_id": about.tenant_id,
    }
    return {
        "input": {
            "user": {
                "user_id": principal.user_id,
                "roles": list(principal.roles),
                "tenant_id": principal.tenant_id or None,
                "scopes": list(principal.scopes),
                "auth_source": principal.auth_source,
            },
            "action": permission,
            "resource": {name: value for name, value in named.items() if value},
        }
    }


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in response.content.iter_chunked(_MOST_ANSWER):
        body += piece
        if len(body) > _MOST_ANSWER:
            raise ValueError("its answer is too long")
    return body


def _verdict(body: bytes) -> bool:
    """`{"result": true}` allows; false, or no result at all, refuses."""
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("its answer is no object")
    result = answer.get("result", False)
    if not isinstance(result, bool):
        raise ValueError("its result is neither true nor false")
    return result
