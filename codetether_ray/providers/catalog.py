"""What is known of models: windows, output limits, prices.

Sources, read on 2026-11-22: the vendors' model and pricing pages. Sizes in tokens, prices in US
dollars per million tokens. A model that is not here can be used; its price is then unknown.
"""

from collections.abc import Mapping
from types import MappingProxyType

from codetether_ray.core.models import ModelInfo
from codetether_ray.core.usage import Price

_K = 1_000
_M = 1_000_000
_OPENAI_LONG = 272_000  # a longer prompt is billed at twice the input, 1.5 times the output price
_HAIKU_LONG = 100_000  # a longer prompt is billed at five times both prices


def _model(
    provider: str,
    id: str,
    context: int,
    output: int,
    price: Price | None,
    *,
    vision: bool = True,
    reasoning: bool = True,
) -> ModelInfo:
    return ModelInfo(
        id=id,
        provider=provider,
        context_window=context,
        max_output_tokens=output,
        supports_vision=vision,
        supports_reasoning=reasoning,
        price=price,
    )


def _price(
    input: float, output: float, read: float | None = None, write: float | None = None
) -> Price:
    return Price(input=input, output=output, cache_read=read, cache_write=write)


def _openai_price(input: float, output: float, read: float, write: float | None = None) -> Price:
    return Price(
        input=input,
        output=output,
        cache_read=read,
        cache_write=write,
        long_above_tokens=_OPENAI_LONG,
        long_input_factor=2.0,
        long_output_factor=1.5,
    )


_HAIKU_5_5 = Price(
    input=0.10,
    output=0.50,
    cache_read=0.01,
    cache_write=0.125,
    long_above_tokens=_HAIKU_LONG,
    long_input_factor=5.0,
    long_output_factor=5.0,
)
_OPUS = _price(5, 25, 0.50, 6.25)
_SONNET = _price(3, 15, 0.30, 3.75)

_MODELS = (
    _model("anthropic", "claude-fable-5-1", _M, 128 * _K, _price(10, 50, 0.25, 12.5)),
    _model("anthropic", "claude-opus-5-5", _M, 128 * _K, _price(4, 20, 0.20, 5)),
    _model("anthropic", "claude-sonnet-5-5", _M, 128 * _K, _price(2, 10, 0.10, 2.5)),
    _model("anthropic", "claude-haiku-5-5", _M, 128 * _K, _HAIKU_5_5),
    _model("anthropic", "claude-fable-5", _M, 128 * _K, _price(10, 50, 1, 12.5)),
    _model("anthropic", "claude-opus-5", _M, 128 * _K, _OPUS),
    _model("anthropic", "claude-sonnet-5", _M, 128 * _K, _price(2, 10, 0.20, 2.5)),
    _model("anthropic", "claude-opus-4-8", _M, 128 * _K, _OPUS),
    _model("anthropic", "claude-opus-4-7", _M, 128 * _K, _OPUS),
    _model("anthropic", "claude-opus-4-6", _M, 128 * _K, _OPUS),
    _model("anthropic", "claude-sonnet-4-6", 200 * _K, 64 * _K, _SONNET),
    _model("anthropic", "claude-haiku-4-5", 200 * _K, 64 * _K, _price(1, 5, 0.10, 1.25)),
    _model("openai", "gpt-6.2-sol", 1_050_000, 128 * _K, _openai_price(2, 10, 0.10, 2.5)),
    _model("openai", "gpt-6.1-sol", 1_050_000, 128 * _K, _openai_price(2, 10, 0.10, 2.5)),
    _model("openai", "gpt-6.1-terra", 1_050_000, 128 * _K, _openai_price(1, 5, 0.05, 1.25)),
    _model("openai", "gpt-6-astra", 1_050_000, 128 * _K, _openai_price(10, 50, 1)),
    _model("openai", "gpt-6-sol", 1_050_000, 128 * _K, _openai_price(2, 10, 0.20, 2.5)),
    _model("openai", "gpt-6-luna", 1_050_000, 128 * _K, _openai_price(0.10, 0.50, 0.01, 0.125)),
    _model("openai", "gpt-5.6-sol", 1_050_000, 128 * _K, _openai_price(5, 30, 0.50)),
    _model("openai", "gpt-5.6-terra", 1_050_000, 128 * _K, _openai_price(2, 12, 0.20)),
    _model("openai", "gpt-5.6-luna", 1_050_000, 128 * _K, _openai_price(0.20, 1.20, 0.02)),
    _model("openai", "gpt-5.5", 1_050_000, 128 * _K, _openai_price(5, 30, 0.50)),
    _model("openai", "gpt-5.2", 400 * _K, 128 * _K, _price(1.75, 14, 0.175)),
    _model("openai", "gpt-5.1", 400 * _K, 128 * _K, _price(1.25, 10, 0.125)),
    _model("openai", "gpt-4.1", 1_047_576, 32_768, _price(2, 8, 0.50), reasoning=False),
    _model("openai", "gpt-4o", 128 * _K, 16_384, _price(2.5, 10, 1.25), reasoning=False),
    _model("openai", "gpt-4o-mini", 128 * _K, 16_384, _price(0.15, 0.6, 0.075), reasoning=False),
    _model("zai", "glm-5.3", 1_048_576, 131_072, _price(1.4, 4.4, 0.26), vision=False),
    _model("zai", "glm-5.1", 200 * _K, 128 * _K, _price(1.4, 4.4, 0.26), vision=False),
    _model("zai", "glm-5", 200 * _K, 128 * _K, _price(1, 3.2, 0.20), vision=False),
    _model("zai", "glm-4.7", 200 * _K, 128 * _K, _price(0.6, 2.2, 0.11), vision=False),
    _model("zai", "glm-4.7-flash", 200 * _K, 128 * _K, _price(0, 0), vision=False),
    _model("zai", "glm-4.6", 200 * _K, 128 * _K, _price(0.6, 2.2, 0.11), vision=False),
    _model("zai", "glm-4.5", 128 * _K, 96 * _K, _price(0.6, 2.2, 0.11), vision=False),
    _model("moonshotai", "kimi-k3", 1_048_576, 65_536, _price(3, 15, 0.30)),
    _model("moonshotai", "kimi-k2.7-code", 262_144, 65_536, _price(0.95, 4, 0.19)),
    _model("moonshotai", "kimi-k2.6", 262_144, 65_536, _price(0.95, 4, 0.16)),
    _model("moonshotai", "kimi-k2.5", 262_144, 65_536, _price(0.6, 3, 0.10)),
    _model(
        "openrouter", "stepfun/step-3.5-flash:free", 256 * _K, 65_536, _price(0, 0), vision=False
    ),
    _model("openrouter", "z-ai/glm-5", 202_752, 131_072, _price(1, 3.2, 0.20), vision=False),
)

MODELS: Mapping[tuple[str, str], ModelInfo] = MappingProxyType(
    {(model.provider, model.id): model for model in _MODELS}
)


def find(provider: str, model: str) -> ModelInfo | None:
    """What is known of a model."""
    return MODELS.get((provider, model))


def providers_of(model: str) -> tuple[str, ...]:
    """Providers that list a model of this id."""
    return tuple(info.provider for info in _MODELS if info.id == model)
