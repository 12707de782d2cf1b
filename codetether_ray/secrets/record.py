"""A provider's secret as the flat record that both stores keep.

`api_key`, `base_url`, `organization` and `headers` have names of their own; any other key of the
record is an extra, so that records written by other programs lose nothing.
"""

from collections.abc import Mapping
from typing import Any

from codetether_ray.ports.secrets import ProviderSecret

_NAMED = frozenset({"api_key", "base_url", "organization", "headers"})


def to_record(secret: ProviderSecret) -> dict[str, Any]:
    """The record of a secret; what is empty is left out."""
    record: dict[str, Any] = dict(secret.extra)
    for name in ("api_key", "base_url", "organization", "headers"):
        value = getattr(secret, name)
        if value:
            record[name] = dict(value) if isinstance(value, Mapping) else value
    return record


def from_record(record: Mapping[str, Any]) -> ProviderSecret:
    """The secret in a record. Values that are not text are kept as their text."""
    headers = record.get("headers")
    return ProviderSecret(
        api_key=_text(record.get("api_key")) or "",
        base_url=_text(record.get("base_url")),
        organization=_text(record.get("organization")),
        headers=_texts(headers) if isinstance(headers, Mapping) else {},
        extra=_texts({k: v for k, v in record.items() if k not in _NAMED}),
    )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in values.items() if v is not None}


def _text(value: object) -> str | None:
    return str(value) if value else None
