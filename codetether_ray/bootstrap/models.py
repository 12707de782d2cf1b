"""Which model a run uses, and whether it can be used, before anything is started."""

import os
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.config.settings import Settings
from codetether_ray.core.errors import CredentialsError, UnknownPriceError
from codetether_ray.core.models import ModelRef
from codetether_ray.core.usage import Budget, Price
from codetether_ray.ports.secrets import SecretStore
from codetether_ray.providers import catalog
from codetether_ray.providers.registry import PROFILES, choose_model


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenModel:
    """A model that can be asked: it exists as far as is known, and has a key if it needs one."""

    ref: ModelRef
    base_url: str = ""
    context_window: int | None = None
    """What the user says of it."""
    price: Price | None = None

    def __str__(self) -> str:
        return str(self.ref)


async def choose(
    named: str | None, settings: Settings, store: SecretStore, directory: Path
) -> ChosenModel:
    """The model as named, else as configured, else that of the first provider with a key.

    Raises:
        CodetetherError: there is none, no such provider, or no key for it.
    """
    configured = _configured(settings)
    keys = () if named or configured else await _with_keys(store)
    ref = choose_model(named, configured, None, keys)
    profile = PROFILES[ref.provider]
    if profile.wire == "tape":
        return _open_tape(ref, directory)
    if profile.needs_key:
        secret = await store.get(ref.provider)
        if secret is None or not secret.api_key:
            raise CredentialsError(ref.provider, "there is no key")
    known = catalog.find(ref.provider, ref.model)
    return ChosenModel(
        ref=ref,
        base_url=settings.base_url(ref.provider) or "",
        context_window=settings.context_windows.get(ref.provider),
        price=known.price if known else None,
    )


def is_key_optional(provider: str) -> bool:
    """Whether a provider may be asked without a key: a local server, a tape."""
    return not PROFILES[provider].needs_key


def check_budget(model: ChosenModel, budget: Budget) -> None:
    """Refuse a budget in dollars that nobody could hold.

    Raises:
        UnknownPriceError: the model's price is unknown.
    """
    if budget.usd is not None and model.price is None:
        raise UnknownPriceError(str(model))


def _configured(settings: Settings) -> str | None:
    """What the settings name: a model, or a provider for its own default model."""
    return settings.default_model or settings.default_provider


async def _with_keys(store: SecretStore) -> tuple[str, ...]:
    """Providers that have a key, in the order of our table."""
    names = await store.providers()
    return tuple(name for name in PROFILES if name in names)


def _open_tape(ref: ModelRef, directory: Path) -> ChosenModel:
    """A tape by its absolute path: agents may live in processes that stand elsewhere."""
    from codetether_ray.local.clock import SystemClock
    from codetether_ray.providers.tape import open_tape

    absolute = os.path.normpath(directory / ref.model)
    recorded = open_tape(absolute, clock=SystemClock()).info("")
    return ChosenModel(
        ref=ModelRef(provider=ref.provider, model=absolute),
        price=recorded.price if recorded else None,
    )
