"""The secrets that are known here, and what is said without them.

A key that a user pastes into a task would otherwise stand in the journal, in the archive and with
the provider. Only values that are stored, or set for this program, are masked in what a user says:
what merely looks like a key may be what the task is about.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.masking import Masker
from codetether_ray.core.messages import Message, Text
from codetether_ray.ports.secrets import ProviderSecret, SecretStore

_VARIABLES = ("VAULT_TOKEN", "CODETETHER_AUTH_TOKEN", "CODETETHER_TOKEN", "RAY_AUTH_TOKEN")


def known_values(env: Mapping[str, str], *secrets: ProviderSecret | None) -> list[str]:
    """Every value that must not be seen."""
    values = [env.get(name, "") for name in _VARIABLES]
    for secret in secrets:
        if secret is not None:
            values += [secret.api_key, *secret.headers.values(), *secret.extra.values()]
    return [value for value in values if value]


async def stored_values(env: Mapping[str, str], store: SecretStore, provider: str) -> list[str]:
    """Those of every provider in the local store; in Vault, of this one, which is used anyway.

    Raises:
        SecretStoreError: the store cannot be reached or read.
    """
    names: Iterable[str] = (provider,) if env.get("VAULT_ADDR") else await store.providers()
    return known_values(env, *[await store.get(name) for name in names])


async def values_here(env: Mapping[str, str], data_dir: Path) -> list[str]:
    """Those that are known without a model being chosen; where the store cannot be read, or is in
    Vault, those of the environment."""
    if env.get("VAULT_ADDR"):
        return known_values(env)
    try:
        return await stored_values(env, open_secret_store(env, data_dir), "")
    except CodetetherError:
        return known_values(env)


def holds_any(known: Iterable[str], text: str) -> bool:
    """Whether a known value is in a text."""
    return Masker(known, with_shapes=False)(text) != text


def unsaid(known: Iterable[str], tell: Callable[[str], None]) -> Callable[[str], str]:
    """Takes known values out of what a user says; `tell` is told when there were any."""
    mask = Masker(known, with_shapes=False)

    def taken(text: str) -> str:
        masked = mask(text)
        if masked != text:
            tell(
                "your words hold a key that is stored here; neither the model nor the record "
                "gets it, [masked] stands in its place"
            )
        return masked

    return taken


def unsaid_message(message: Message, mask: Callable[[str], str]) -> Message:
    """A message whose text went through `mask`."""
    parts = tuple(
        replace(part, text=mask(part.text)) if isinstance(part, Text) else part
        for part in message.parts
    )
    return replace(message, parts=parts)
