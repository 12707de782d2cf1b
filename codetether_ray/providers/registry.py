"""From a name to a provider: which model is meant, and what talks to it."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from codetether_ray.core.errors import (
    CredentialsError,
    NoModelError,
    UnknownProviderError,
    UsageError,
)
from codetether_ray.core.models import ModelRef
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.limiter import RateLimiter
from codetether_ray.ports.provider import Provider
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.providers.catalog import providers_of
from codetether_ray.providers.profiles import ALIASES, PROFILES, Profile

if TYPE_CHECKING:
    from codetether_ray.providers.http import HttpClient
    from codetether_ray.providers.wire import WireFormat

__all__ = ["PROFILES", "choose_model", "open_provider", "parse_model"]


def parse_model(text: str) -> ModelRef:
    """What `provider/model` names; split at the first slash.

    A bare provider stands for its default model; a bare model for the one provider that lists it.

    Raises:
        UnknownProviderError: there is no such provider.
        UsageError: the model is not named clearly enough.
    """
    provider, slash, model = text.strip().partition("/")
    provider = ALIASES.get(provider, provider)
    if not slash:
        return _bare(provider)
    if provider not in PROFILES:
        raise UnknownProviderError(provider, tuple(PROFILES))
    return ModelRef(provider=provider, model=model) if model else _default(PROFILES[provider])


def choose_model(
    explicit: str | None,
    config_default: str | None,
    env_default: str | None,
    providers_with_keys: Sequence[str],
) -> ModelRef:
    """The model to use: as asked, else the configuration's, else the environment's
    (`CODETETHER_DEFAULT_MODEL`), else the default model of the first provider that has a key.

    Raises:
        NoModelError: nothing names a model.
    """
    for named in (explicit, config_default, env_default):
        if named and named.strip():
            return parse_model(named)
    for provider in providers_with_keys:
        profile = PROFILES.get(ALIASES.get(provider, provider))
        if profile is not None and profile.default_model:
            return _default(profile)
    raise NoModelError


def open_provider(
    ref: ModelRef,
    *,
    secret: ProviderSecret | None,
    http: "HttpClient",
    clock: Clock,
    limiter: RateLimiter | None = None,
    base_url: str = "",
    retry_for_s: float = 300.0,
    wait_quota_s: float = 0.0,
) -> Provider:
    """What talks to the provider of `ref`, retries included.

    `base_url` overrides the secret's, which overrides the profile's.

    Raises:
        UnknownProviderError: there is no such provider.
        CredentialsError: it needs a key and has none.
        TapeError: the tape cannot be read.
    """
    profile = PROFILES.get(ref.provider)
    if profile is None:
        raise UnknownProviderError(ref.provider, tuple(PROFILES))
    if profile.wire == "tape":
        from codetether_ray.providers.tape import open_tape  # noqa: PLC0415 - read by few

        return open_tape(ref.model, clock=clock)
    if profile.needs_key and (secret is None or not secret.api_key):
        raise CredentialsError(profile.id, "there is no key")
    from codetether_ray.providers.client import WireProvider  # noqa: PLC0415 - not for names alone
    from codetether_ray.providers.permits import Permits  # noqa: PLC0415
    from codetether_ray.providers.retry import Retrying  # noqa: PLC0415

    once = WireProvider(
        profile,
        _wire(profile.id),
        http,
        clock=clock,
        permits=Permits(profile.id, limiter, clock),
        secret=secret,
        base_url=base_url or (secret.base_url if secret else None) or "",
    )
    return Retrying(once, clock=clock, retry_for_s=retry_for_s, wait_quota_s=wait_quota_s)


@cache
def _wire(profile_id: str) -> "WireFormat":
    """One per profile and process, so that agents of a kind share what was encoded."""
    profile = PROFILES[profile_id]
    if profile.wire == "anthropic":
        from codetether_ray.providers.anthropic import AnthropicWire  # noqa: PLC0415

        return AnthropicWire(profile)
    from codetether_ray.providers.openai import OpenAIWire  # noqa: PLC0415

    return OpenAIWire(profile)


def _bare(word: str) -> ModelRef:
    if word in PROFILES:
        return _default(PROFILES[word])
    owners = providers_of(word)
    if len(owners) == 1:
        return ModelRef(provider=owners[0], model=word)
    raise UsageError(
        f"which provider has the model {word!r}? Name it as PROVIDER/{word or 'MODEL'}; "
        f"there are {', '.join(PROFILES)}"
    )


def _default(profile: Profile) -> ModelRef:
    if not profile.default_model:
        what = "a file" if profile.wire == "tape" else "a model"
        raise UsageError(f"{profile.id} has no default model: name {what} as {profile.id}/…")
    return ModelRef(provider=profile.id, model=profile.default_model)
