"""Provider keys."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSecret:
    """What a store holds of a provider. `repr` shows no value."""

    api_key: str = field(default="", repr=False)
    base_url: str | None = None
    organization: str | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    extra: dict[str, str] = field(default_factory=dict, repr=False)


class SecretSource(Protocol):
    """Gives provider secrets: a store, or the broker of a run."""

    async def get(self, provider: str) -> ProviderSecret | None:
        """A provider's secret; None if there is none.

        Raises:
            CodetetherError: it cannot be had.
        """
        ...


class SecretStore(Protocol):
    """Keeps provider secrets: Vault KV v2, or an encrypted file."""

    @property
    def description(self) -> str:
        """Where secrets are kept, for people."""
        ...

    async def get(self, provider: str) -> ProviderSecret | None:
        """A provider's secret.

        Raises:
            SecretStoreError: the store cannot be reached or read.
        """
        ...

    async def put(self, provider: str, secret: ProviderSecret) -> None:
        """Store or replace a provider's secret."""
        ...

    async def remove(self, provider: str) -> bool:
        """Remove it; False if there was none."""
        ...

    async def providers(self) -> tuple[str, ...]:
        """Names with a secret, sorted."""
        ...
