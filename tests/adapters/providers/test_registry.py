"""From a name to a provider."""

import subprocess
import sys

import pytest

from codetether_ray.core.errors import (
    CredentialsError,
    NoModelError,
    UnknownProviderError,
    UsageError,
)
from codetether_ray.core.models import ModelRef
from codetether_ray.core.usage import Usage
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.providers.catalog import MODELS, find
from codetether_ray.providers.http import HttpClient
from codetether_ray.providers.profiles import PROFILES
from codetether_ray.providers.registry import choose_model, open_provider, parse_model
from codetether_ray.testing.clock import FakeClock


@pytest.mark.parametrize(
    ("text", "provider", "model"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("openrouter/stepfun/step-3.5-flash:free", "openrouter", "stepfun/step-3.5-flash:free"),
        ("zhipuai/glm-5", "zai", "glm-5"),
        ("zhipuai", "zai", "glm-5"),
        ("moonshotai", "moonshotai", "kimi-k2.5"),
        ("anthropic/", "anthropic", PROFILES["anthropic"].default_model),
        (" kimi-k2.5 ", "moonshotai", "kimi-k2.5"),
        ("tape//tmp/a.jsonl?delay=0.1", "tape", "/tmp/a.jsonl?delay=0.1"),
    ],
)
def test_a_model_is_named_by_provider_and_model(text: str, provider: str, model: str) -> None:
    assert parse_model(text) == ModelRef(provider=provider, model=model)


def test_unclear_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownProviderError, match=r"no provider 'acme'; there are anthropic"):
        parse_model("acme/best")
    with pytest.raises(UsageError, match="which provider has the model 'best'"):
        parse_model("best")
    for bare in ("local", "local/", "tape"):
        with pytest.raises(UsageError, match="has no default model"):
            parse_model(bare)


def test_the_first_word_on_the_model_counts() -> None:
    keys = ("zai", "anthropic")
    assert str(choose_model("openai/a", "openai/b", "openai/c", keys)) == "openai/a"
    assert str(choose_model(None, "openai/b", "openai/c", keys)) == "openai/b"
    assert str(choose_model(None, "", "openai/c", keys)) == "openai/c"
    assert str(choose_model(None, None, None, keys)) == "zai/glm-5"
    assert choose_model(None, None, None, ("unheard-of", "anthropic")).provider == "anthropic"
    with pytest.raises(NoModelError, match="codetether auth set"):
        choose_model(None, None, None, ("unheard-of",))


@pytest.mark.parametrize("secret", [None, ProviderSecret()])
def test_a_missing_key_is_said_with_the_command_that_sets_it(secret: ProviderSecret | None) -> None:
    with pytest.raises(CredentialsError, match="codetether auth set anthropic"):
        open_provider(parse_model("anthropic"), secret=secret, http=HttpClient(), clock=FakeClock())


def test_a_local_server_needs_no_key() -> None:
    ref = parse_model("local/m")
    provider = open_provider(ref, secret=None, http=HttpClient(), clock=FakeClock())
    assert provider.name == "local"


def test_every_default_model_is_in_the_catalogue() -> None:
    for profile in PROFILES.values():
        if profile.default_model:
            assert find(profile.id, profile.default_model) is not None


def test_every_model_of_the_catalogue_has_a_profile_and_a_sane_window() -> None:
    for (provider, _), info in MODELS.items():
        assert provider in PROFILES
        assert 0 < info.max_output_tokens <= info.context_window


def test_long_prompts_are_billed_at_the_prices_of_long_prompts() -> None:
    info = find("anthropic", "claude-haiku-5-5")
    assert info is not None
    assert info.price is not None
    short = info.price.cost_usd(Usage(prompt_tokens=100_000, completion_tokens=1_000))
    long = info.price.cost_usd(Usage(prompt_tokens=100_001, completion_tokens=1_000))
    assert short == pytest.approx(0.0105)
    assert long == pytest.approx(5 * 0.0105, rel=1e-4)


def test_naming_providers_loads_no_http_library() -> None:
    code = (
        "import sys, codetether_ray.providers.registry, codetether_ray.providers.catalog\n"
        "sys.exit('aiohttp' in sys.modules or 'pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
