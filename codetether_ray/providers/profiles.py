"""Who can be talked to, and in which way: a table instead of code per vendor.

Looked up 2026-11-22. The default models are the seed's, but for two: its `claude-sonnet-4-20250514`
was retired on 2026-06-15 (requests fail), and it names none for `openai`; see ADR 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

Wire = Literal["openai", "anthropic", "tape"]

SchemaMode = Literal["native", "native_without_tools", "instruction"]
"""How an output schema is asked for: in the wire format's own field (`native_without_tools`: only
where no tools are offered, since servers that constrain decoding then never call one), or in words
at the end of the system prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRule:
    """What models whose id matches one of `models` (shell patterns) want besides."""

    models: tuple[str, ...]
    body: Mapping[str, Any] = field(default_factory=dict)
    body_with_tools: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    omits_temperature: bool = False
    """The vendor refuses any temperature but its own."""

    def applies(self, model: str) -> bool:
        """Whether `model` is one of these."""
        return _matches(self.models, model)


@lru_cache(maxsize=512)
def _matches(patterns: tuple[str, ...], model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One vendor."""

    id: str
    wire: Wire
    base_url: str = ""
    default_model: str = ""
    """Empty: the user must name one."""
    needs_key: bool = True
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    max_tokens_field: str = "max_tokens"
    body: Mapping[str, Any] = field(default_factory=dict)
    reasoning_field: str = ""
    """The field of an assistant message that carries past thinking back; empty: none does."""
    schema_mode: SchemaMode = "native"
    rules: tuple[ModelRule, ...] = ()

    def rules_of(self, model: str) -> tuple[ModelRule, ...]:
        """The rules that apply to `model`."""
        return tuple(rule for rule in self.rules if rule.applies(model))


_ANTHROPIC_RULES = (
    # A changed prefix (our compaction) voids the thinking after it: such blocks shall be dropped
    # by the server instead of failing the call ("preserved thinking").
    ModelRule(
        models=("claude-fable-5-1*", "claude-opus-5-5*", "claude-sonnet-5-5*", "claude-haiku-5-5*"),
        body={
            "thinking": {
                "type": "adaptive",
                "display": "summarized",
                "block_binding": {"prefix_mismatch_behavior": "drop_block"},
            }
        },
        headers={"anthropic-beta": "thinking-binding-controls-2026-08-01"},
        omits_temperature=True,
    ),
    ModelRule(
        models=("claude-fable-5", "claude-opus-5", "claude-sonnet-5"),
        body={"thinking": {"type": "adaptive", "display": "summarized"}},
    ),
    ModelRule(
        models=("claude-opus-4-[78]*", "claude-fable-5*", "claude-opus-5*", "claude-sonnet-5*"),
        omits_temperature=True,
    ),
)

_OPENAI_RULES = (
    ModelRule(models=("o[0-9]*", "gpt-5*", "gpt-6*"), omits_temperature=True),
    # Chat completions take function tools of these only without reasoning.
    ModelRule(
        models=("gpt-5.[456]*", "gpt-6-sol*", "gpt-6-luna*"),
        body_with_tools={"reasoning_effort": "none"},
    ),
)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.id: profile
        for profile in (
            Profile(
                id="anthropic",
                wire="anthropic",
                base_url="https://api.anthropic.com",
                default_model="claude-sonnet-5-5",
                key_header="x-api-key",
                key_prefix="",
                headers={"anthropic-version": "2023-06-01"},
                rules=_ANTHROPIC_RULES,
            ),
            Profile(
                id="openai",
                wire="openai",
                base_url="https://api.openai.com/v1",
                default_model="gpt-6-sol",
                max_tokens_field="max_completion_tokens",
                rules=_OPENAI_RULES,
            ),
            Profile(
                id="openrouter",
                wire="openai",
                base_url="https://openrouter.ai/api/v1",
                default_model="stepfun/step-3.5-flash:free",
                headers={"X-Title": "codetether-ray"},
                body={"usage": {"include": True}},
                reasoning_field="reasoning",
            ),
            Profile(
                id="moonshotai",
                wire="openai",
                base_url="https://api.moonshot.ai/v1",
                default_model="kimi-k2.5",
                reasoning_field="reasoning_content",
                schema_mode="instruction",
                rules=(ModelRule(models=("kimi-k2*", "kimi-k3*"), omits_temperature=True),),
            ),
            Profile(
                id="zai",
                wire="openai",
                base_url="https://api.z.ai/api/paas/v4",
                default_model="glm-5",
                reasoning_field="reasoning_content",
                schema_mode="instruction",
                rules=(
                    ModelRule(
                        models=("glm-5*", "glm-4.[67]*"), body_with_tools={"tool_stream": True}
                    ),
                ),
            ),
            Profile(
                id="local",
                wire="openai",
                base_url="http://127.0.0.1:11434/v1",
                needs_key=False,
                schema_mode="native_without_tools",
            ),
            Profile(id="tape", wire="tape", needs_key=False),
        )
    }
)

ALIASES: Mapping[str, str] = MappingProxyType({"zhipuai": "zai"})
"""Names that the reference accepted for a provider."""
