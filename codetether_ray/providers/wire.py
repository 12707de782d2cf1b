"""What a wire format must be able to do, and what both have in common."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import MalformedResponseError
from codetether_ray.core.models import ModelRequest, ModelResponse, StreamEvent
from codetether_ray.providers.profiles import Profile
from codetether_ray.providers.sse import SseEvent

EMPTY_TEXT = "(empty)"
"""Stands for a text that vendors refuse because there is nothing in it."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

# JSON Schema words that every vendor's strict mode takes; a schema with others is asked for looser.
_STRICT_WORDS = frozenset(
    {
        "type", "properties", "required", "additionalProperties", "items", "enum", "const",
        "anyOf", "description", "title", "$ref", "$defs",
    }
)  # fmt: skip


class Assembler(Protocol):
    """Puts one streamed answer together."""

    @property
    def is_complete(self) -> bool:
        """Whether the stream has said that the answer is whole."""
        ...

    def ends(self) -> bool:
        """Whether the answer is whole though the stream ended without its terminator."""
        ...

    def feed(self, event: SseEvent) -> Iterable[StreamEvent]:
        """Take an event in; what of it is for the caller to see.

        Raises:
            CodetetherError: it is an error, or not the format.
        """
        ...

    def response(self) -> ModelResponse:
        """The whole answer; its cost is the provider's own figure, or None."""
        ...


class WireFormat(Protocol):
    """One vendor family's spelling of requests and answers."""

    path: str
    """Joined to the base URL."""

    def encode(self, request: ModelRequest) -> bytes:
        """The request's body."""
        ...

    def assembler(self, request: ModelRequest, body_bytes: int) -> Assembler:
        """A fresh assembler for the answer to `request`."""
        ...


def dump(value: object) -> bytes:
    """Compact JSON; what UTF-8 cannot hold (lone surrogates) becomes a question mark."""
    return _ENCODER.encode(value).encode("utf-8", "replace")


def load(provider: str, text: str) -> dict[str, Any]:
    """The JSON object of an event.

    Raises:
        MalformedResponseError: it is none.
    """
    try:
        data = json.loads(text)
    except ValueError:
        raise MalformedResponseError(
            provider, f"broken JSON in the stream: {text[:200]!r}"
        ) from None
    if not isinstance(data, dict):
        raise MalformedResponseError(provider, f"no JSON object in the stream: {text[:200]!r}")
    return data


def arguments_json(text: str) -> bytes:
    """A call's arguments as a JSON object: as written, or wrapped where the model wrote none."""
    stripped = text.strip()
    if not stripped:
        return b"{}"
    try:
        is_object = isinstance(json.loads(stripped), dict)
    except ValueError:
        is_object = False
    return stripped.encode("utf-8", "replace") if is_object else dump({"raw": text})


def extras(profile: Profile, request: ModelRequest) -> dict[str, Any]:
    """The body fields that the profile and its rules add for this request."""
    fields: dict[str, Any] = dict(profile.body)
    rules = profile.rules_of(request.model)
    for rule in rules:
        fields.update(rule.body)
        if request.tools:
            fields.update(rule.body_with_tools)
    if request.temperature is not None and not any(rule.omits_temperature for rule in rules):
        fields["temperature"] = request.temperature
    return fields


def wants_native_schema(profile: Profile, request: ModelRequest) -> bool:
    """Whether the output schema goes into the wire format's own field."""
    if request.output_schema is None or profile.schema_mode == "instruction":
        return False
    return profile.schema_mode == "native" or not request.tools


def schema_instruction(schema: JsonObject) -> str:
    """The sentence that asks for an answer of this schema."""
    return (
        "\n\nYour last message must be one JSON value and nothing else (no fence, no comment). "
        f"It must satisfy this JSON Schema:\n{_ENCODER.encode(schema)}"
    )


def is_strict(schema: object) -> bool:
    """Whether vendors' strict modes take a schema: closed objects, plain words only."""
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if not schema.keys() <= _STRICT_WORDS:
        return False
    properties = schema.get("properties", {})
    if schema.get("type") == "object" and not _is_closed(schema, properties):
        return False
    named = (*properties.values(), *schema.get("$defs", {}).values())
    nested = (schema[word] for word in ("items", "anyOf") if word in schema)
    return all(is_strict(item) for item in (*named, *nested))


def _is_closed(schema: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(
        properties
    )
