"""Who handed a provider's key to which process of a run, for the audit log; never the key."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.spec import Correlation
from codetether_ray.ports.audit import Action, Audit

_CHARS = 16


def fingerprint(public: bytes) -> str:
    """What tells the public key of one process from all others: of its SHA-256, 16 hex digits."""
    return hashlib.sha256(public).hexdigest()[:_CHARS]


class Custody:
    """Keeps true: no key is taken or given before that is in the audit log."""

    def __init__(self, audit: Audit, correlation: Correlation, principal: str = "") -> None:
        """`principal`: whose driver deposits keys (`USER@HOST`)."""
        self._audit = audit
        self._correlation = correlation
        self._principal = principal

    async def deposited(
        self, provider: str, public: bytes, ask: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """What the driver answers, who is asked for a key sealed to the supervisor's `public`.

        The outcome's detail says whether it had one.

        Raises:
            AuditError: it cannot be recorded, so nothing was taken.
        """
        who = f"user:{self._principal}" if self._principal else ""
        async with self._recorded("key.deposit", provider, public, who) as detail:
            sealed = await ask()
            detail["has_key"] = bool(sealed)
            return sealed

    @asynccontextmanager
    async def given(self, provider: str, public: bytes, agent: str) -> AsyncIterator[None]:
        """Seal a key, in here, to the process of an agent.

        Raises:
            AuditError: it cannot be recorded, so it must not be given.
        """
        async with self._recorded("key.give", provider, public, f"agent:{agent}"):
            yield

    @asynccontextmanager
    async def _recorded(
        self, action: str, provider: str, public: bytes, who: str
    ) -> AsyncIterator[JsonObject]:
        (id,) = await self._audit.begin(
            Action(
                category="auth",
                action=action,
                resource=provider,
                principal=who,
                correlation=self._correlation,
                detail={"public_key": fingerprint(public)},
            )
        )
        detail: JsonObject = {}
        try:
            yield detail
        except BaseException:
            self._audit.end(id, "failure", detail=detail)
            raise
        self._audit.end(id, "success", detail=detail)
