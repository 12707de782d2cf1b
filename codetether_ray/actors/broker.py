"""A run's keys on a cluster: asked of its driver once, kept in the memory of its supervisor alone.

What crosses between processes is a public key, or a secret sealed to one. A supervisor that takes
another's place has new keys of its own, so it asks the driver again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from codetether_ray.core.errors import KeyAwayError
from codetether_ray.ports.secrets import ProviderSecret, SecretSource
from codetether_ray.secrets.sealed import Recipient, seal

if TYPE_CHECKING:
    from codetether_ray.actors.caller import Caller
    from codetether_ray.actors.custody import Custody

_PATIENCE_S = 600.0
"""How long a driver that is away may take to come back."""
_OPTIONAL_S = 5.0
_KIND = "secret"


class Broker:
    """Gives each process of an agent the provider's secret, sealed to that process."""

    def __init__(
        self,
        run_id: str,
        ask: Callable[[Any], Awaitable[Any]] | None,
        *,
        at_home: SecretSource | None = None,
        conceal: Callable[[Iterable[str]], None] | None = None,
        custody: "Custody | None" = None,
        verb: str = "swarm",
        is_optional: Callable[[str], bool] = lambda _: False,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Ask the driver by `ask`; `at_home` is the supervisor's own store, where it is the
        driver's as well. `conceal` is told each value that must not be seen, `custody` who
        hands a key to whom; a key that `is_optional` is not waited for where the driver is away."""
        self._run_id = run_id
        self._ask = ask
        self._at_home = at_home
        self._conceal = conceal
        self._custody = custody
        self._verb = verb
        self._is_optional = is_optional
        self._patience_s = patience_s
        self._me: Recipient | None = None
        self._kept: dict[str, asyncio.Task[ProviderSecret | None]] = {}

    def __repr__(self) -> str:
        return f"Broker({self._run_id})"

    async def sealed(self, provider: str, public: bytes, who: str = "") -> bytes | None:
        """The provider's secret for the agent `who`, whose process has that public key.

        None where there is none.

        Raises:
            KeyAwayError: nobody who has the key is there.
            AuditError: it cannot be recorded, so it is not given.
        """
        secret = await self.get(provider)
        if secret is None:
            return None
        if self._custody is None:
            return seal(secret, public)
        async with self._custody.given(provider, public, who):
            return seal(secret, public)

    async def get(self, provider: str) -> ProviderSecret | None:
        """The provider's secret, for the supervisor's own process.

        Raises:
            KeyAwayError: nobody who has the key is there.
        """
        task = self._kept.get(provider)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._kept[provider] = asyncio.ensure_future(self._fetched(provider))
        return await asyncio.shield(task)

    async def _fetched(self, provider: str) -> ProviderSecret | None:
        secret = None if self._at_home is None else await self._at_home.get(provider)
        if secret is None and self._ask is not None:
            secret = await self._asked(provider, self._ask)
        if secret is not None and self._conceal is not None:
            self._conceal([secret.api_key, *secret.headers.values(), *secret.extra.values()])
        return secret

    async def _asked(
        self, provider: str, ask: Callable[[Any], Awaitable[Any]]
    ) -> ProviderSecret | None:
        if self._me is None:
            self._me = Recipient()
        is_optional = self._is_optional(provider)
        question = {"kind": _KIND, "provider": provider, "public_key": self._me.public}
        try:
            async with asyncio.timeout(_OPTIONAL_S if is_optional else self._patience_s):
                sealed = await self._deposit(provider, self._me.public, lambda: ask(question))
        except TimeoutError:
            if is_optional:
                return None
            raise KeyAwayError(provider, self._run_id, self._verb) from None
        return self._me.open(sealed) if sealed else None

    async def _deposit(
        self, provider: str, public: bytes, ask: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        if self._custody is None:
            return await ask()
        return await self._custody.deposited(provider, public, ask)


def answering(
    ask: Callable[[Any], Awaitable[Any]], store: SecretSource, providers: Iterable[str]
) -> Callable[[Any], Awaitable[Any]]:
    """A driver's answers: keys of the run's own `providers` out of `store`, the rest by `ask`."""
    allowed = frozenset(providers)

    async def answer(question: Any) -> Any:
        if not (isinstance(question, dict) and question.get("kind") == _KIND):
            return await ask(question)
        provider = question["provider"]
        if provider not in allowed:
            return None
        secret = await store.get(provider)
        return None if secret is None else seal(secret, question["public_key"])

    return answer


class RaySecrets:
    """An agent's way to its run's broker: a key pair of its process, and its supervisor's door."""

    def __init__(self, caller: "Caller") -> None:
        self._caller = caller
        self._me: Recipient | None = None

    async def get(self, provider: str) -> ProviderSecret | None:
        """The provider's secret; None where the run has none.

        Raises:
            CredentialsError: nobody who has the key is there.
            ClusterError: the supervisor is gone.
        """
        if self._me is None:
            self._me = Recipient()
        sealed = await self._caller.ask("secret", provider, self._me.public)
        return self._me.open(sealed) if sealed else None
