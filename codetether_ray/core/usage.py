"""Tokens, prices and limits."""

from dataclasses import dataclass

from codetether_ray.core.codec import JsonObject

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of model calls.

    `prompt_tokens` counts all input, cached input included; `cache_read_tokens` and
    `cache_write_tokens` are the parts of it that came from, or went to, the provider's cache.
    `completion_tokens` counts all output, reasoning included.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens

    def to_json(self) -> JsonObject:
        """All counts, zeros included, and their sum."""
        counts: JsonObject = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**counts, "total_tokens": self.total_tokens}

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    long_above_tokens: int | None = None
    """A call with a longer prompt costs, all of it, the prices times these factors."""
    long_input_factor: float = 1.0
    long_output_factor: float = 1.0

    def cost_usd(self, usage: Usage) -> float:
        """What one call's `usage` costs; cache prices default to the input price."""
        limit = self.long_above_tokens
        is_long = limit is not None and usage.prompt_tokens > limit
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        plain = usage.prompt_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        taken = (
            max(plain, 0) * self.input
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * write
        )
        given = usage.completion_tokens * self.output
        if is_long:
            taken, given = taken * self.long_input_factor, given * self.long_output_factor
        return (taken + given) / _MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a whole run may spend; None is unlimited."""

    tokens: int | None = None
    usd: float | None = None
    wall_s: float | None = None
    agents: int | None = None
    """How many agents may be started in the tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """An amount: reserved before a model call, settled after it."""

    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(tokens=self.tokens + other.tokens, usd=self.usd + other.usd)

    def __sub__(self, other: "Spend") -> "Spend":
        return Spend(tokens=self.tokens - other.tokens, usd=self.usd - other.usd)
