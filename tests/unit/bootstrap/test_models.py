"""Which model a run uses."""

from pathlib import Path

import pytest

from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.errors import (
    CredentialsError,
    NoModelError,
    TapeError,
    UnknownPriceError,
    UnknownProviderError,
)
from codetether_ray.core.usage import Budget
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.encrypted import EncryptedStore


def settings(tmp_path: Path, **env: str) -> Settings:
    return load_settings(tmp_path, {"HOME": str(tmp_path), **env})


async def store(tmp_path: Path, *providers: str) -> EncryptedStore:
    made = EncryptedStore(tmp_path)
    for provider in providers:
        await made.put(provider, ProviderSecret(api_key="sk-test-0123456789"))
    return made


async def test_the_named_model_wins_over_the_settings(tmp_path: Path) -> None:
    configured = settings(tmp_path, CODETETHER_DEFAULT_MODEL="local/other")
    model = await choose("local/mine", configured, await store(tmp_path), tmp_path)
    assert str(model) == "local/mine"


async def test_the_settings_win_over_the_keys(tmp_path: Path) -> None:
    configured = settings(tmp_path, CODETETHER_DEFAULT_MODEL="local/other")
    model = await choose(None, configured, await store(tmp_path, "openai"), tmp_path)
    assert str(model) == "local/other"


async def test_the_first_provider_with_a_key_gives_its_own_default_model(tmp_path: Path) -> None:
    model = await choose(None, settings(tmp_path), await store(tmp_path, "zai"), tmp_path)
    assert model.ref.provider == "zai"
    assert model.price is not None


async def test_without_any_model_the_sentence_shows_the_ways(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="auth set"):
        await choose(None, settings(tmp_path), await store(tmp_path), tmp_path)


async def test_a_provider_without_its_key_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    with pytest.raises(CredentialsError, match="there is no key"):
        await choose("anthropic", settings(tmp_path), await store(tmp_path), tmp_path)


async def test_an_unknown_provider_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownProviderError, match="nowhere"):
        await choose("nowhere/m", settings(tmp_path), await store(tmp_path), tmp_path)


async def test_the_address_of_a_local_server_comes_from_the_settings(tmp_path: Path) -> None:
    configured = settings(tmp_path, CODETETHER_LOCAL_BASE_URL="http://127.0.0.1:1/v1")
    model = await choose("local/m", configured, await store(tmp_path), tmp_path)
    assert model.base_url == "http://127.0.0.1:1/v1"


async def test_a_tape_that_is_not_there_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    with pytest.raises(TapeError, match=r"no\.tape"):
        await choose("tape/no.tape", settings(tmp_path), await store(tmp_path), tmp_path)


async def test_dollars_cannot_hold_where_the_price_is_unknown(tmp_path: Path) -> None:
    model = await choose("local/m", settings(tmp_path), await store(tmp_path), tmp_path)
    check_budget(model, Budget(tokens=10))
    with pytest.raises(UnknownPriceError, match="--max-tokens"):
        check_budget(model, Budget(usd=1.0))
