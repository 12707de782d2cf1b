"""The gate itself, whatever the transport: who comes in, what they may do, what is noted of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from codetether_ray.core.errors import (
    AccessError,
    AuthUnavailableError,
    ForbiddenError,
    TooManyFailuresError,
    UnauthenticatedError,
)
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.gate_failures import Failures
from codetether_ray.ingress.gate_proxies import Proxies
from codetether_ray.policy.rules import EVERYBODYS
from codetether_ray.ports.policy import Policy, Resource
from codetether_ray.ports.tokens import TokenBook

_SCHEME = "bearer"
_AGAIN_S = 1.0
"""How often the token of an answer that goes on is looked at."""


class RequestLog(Protocol):
    """Takes note of requests; see `request_log`."""

    def passed(
        self, principal: Principal, transport: str, request: str, status: str, ended_ms: int
    ) -> None:
        """Note a request that was let in, and how it was answered."""
        ...

    def refused(
        self, principal: Principal | None, transport: str, request: str, status: str, address: str
    ) -> None:
        """Note one that was not; floods are summed up."""
        ...

    def event(self, principal: Principal, kind: str, resource: str) -> None:
        """Note a CloudEvent that was taken, and the task that it made or meant."""
        ...

    async def close(self) -> None:
        """Write what waits."""
        ...


class Gate:
    """Lets in who shows a valid token, and lets do what the policy allows."""

    def __init__(
        self,
        tokens: TokenBook,
        policy: Policy,
        *,
        log: RequestLog | None = None,
        proxies: Proxies | None = None,
        failures: Failures | None = None,
        is_card_private: bool = False,
        closing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Ask `tokens` and `policy`, tell `log`; `closing` is awaited at the end."""
        self._tokens, self._policy, self._closing = tokens, policy, closing
        self.log = log
        self.proxies = proxies or Proxies()
        self.is_card_private = is_card_private
        """Whether the public card needs a token, too."""
        self._failures = failures or Failures(time.monotonic)

    async def authenticate(self, authorization: str | None, address: str) -> Principal:
        """Whose token an `Authorization` header or metadata holds; `address` is the client's.

        Raises:
            UnauthenticatedError: there is none, or it is not valid.
            TooManyFailuresError: the same, from an address that failed too often.
            AuthUnavailableError: it cannot be told.
        """
        found = await self.authenticated(authorization)
        if isinstance(found, Principal):
            return found
        raise self.blamed(found, address)

    async def authenticated(self, authorization: str | None) -> Principal | AccessError:
        """The same where the address is not known yet: why not is a value, to be `blamed`."""
        token, error = _bearer(authorization)
        if error is not None:
            return error
        try:
            found = await self._tokens.principal_of(token)
        except AuthUnavailableError as unavailable:
            return unavailable
        return found or UnauthenticatedError("invalid_token", "the bearer token is not valid")

    def blamed(self, error: AccessError, address: str) -> AccessError:
        """What to tell an address, whose failure is counted: the error, or that they were many."""
        if not isinstance(error, UnauthenticatedError):
            return error
        wait = self._failures.blame(address)
        return TooManyFailuresError(wait) if wait else error

    async def permit(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> None:
        """Return if somebody may use a permission, on a certain resource if one is given.

        Raises:
            ForbiddenError: they may not.
        """
        if not await self._policy.allows(principal, permission, resource):
            raise ForbiddenError(permission)

    async def may(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> bool:
        """The same as a question."""
        return await self._policy.allows(principal, permission, resource)

    async def sees_all(self, principal: Principal) -> bool:
        """Whether somebody finds others' tasks for workers: a tenant's, or everybody's."""
        return await self.may(principal, EVERYBODYS)

    async def close(self) -> None:
        """Write what waits for the audit log, and let go of what is open."""
        if self.log is not None:
            await self.log.close()
        await self._policy.close()
        if self._closing is not None:
            await self._closing()


class Lasting:
    """Whether the token of an answer that goes on is still valid: asked before each piece, and
    watched while none comes."""

    def __init__(self, gate: Gate, authorization: str | None) -> None:
        self._gate, self._authorization = gate, authorization
        self._next = time.monotonic() + _AGAIN_S

    async def is_valid(self) -> bool:
        """False once it was revoked or has expired, not where that cannot be told."""
        now = time.monotonic()
        if now < self._next:
            return True
        self._next = now + _AGAIN_S
        found = await self._gate.authenticated(self._authorization)
        return not isinstance(found, UnauthenticatedError)

    async def until_over(self) -> None:
        """Return once it was revoked or has expired."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            if not await self.is_valid():
                return


class Watched:
    """Ends what the current task waits for when a token ends.

    Between `begin` and `close` the task is cancelled then; `is_over` tells this from a cancel of
    others. Who sends in between asks `Lasting.is_valid` by itself.
    """

    def __init__(self, lasting: Lasting) -> None:
        self._lasting = lasting
        self._task: asyncio.Task[Any] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.has_ended = False
        """The token has."""
        self.may_cancel = True
        """The task waits for the application, and not for the client."""

    def begin(self) -> None:
        """Watch from now on; again: nothing changes."""
        if self._watching is None:
            self._task = asyncio.current_task()
            self._watching = asyncio.create_task(self._watch(), name="watching a token")

    def is_over(self) -> bool:
        """Of a cancel that came: whether it was ours, which is taken back then."""
        return self.has_ended and self._task is not None and self._task.uncancel() == 0

    def close(self) -> None:
        """Watch no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        await self._lasting.until_over()
        self.has_ended = True
        if self.may_cancel and self._task is not None:
            self._task.cancel()


def _bearer(authorization: str | None) -> tuple[str, UnauthenticatedError | None]:
    """The token of a header, or why there is none (RFC 6750: no `error` where none was shown)."""
    if not authorization:
        return "", UnauthenticatedError()
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != _SCHEME:
        return "", UnauthenticatedError()
    if not token or not all("!" <= letter <= "~" for letter in token):
        return "", UnauthenticatedError("invalid_request", "the bearer token cannot be read")
    return token, None
