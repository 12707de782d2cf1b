"""The JSON text of values, written at once: what `codec.encode` and a JSON encoder would give.

Every event and message goes through here, so the object in between is not built.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, cached_property
from json.encoder import encode_basestring
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from codetether_ray.core.codec import default_of, encode

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_SCALARS: MappingProxyType[type, Callable[[Any], str]] = MappingProxyType(
    {
        str: encode_basestring,
        int: int.__repr__,
        float: lambda value: float.__repr__(value) if value - value == 0 else _dumps(value),
        bool: lambda value: "true" if value else "false",
        type(None): lambda _: "null",
    }
)


def json_text(value: object) -> str:
    """The compact JSON text of `encode(value)`, not escaped to ASCII.

    A class whose values are written again and again may keep the text in a cached property
    `json_text`, made by `object_text`.

    Raises:
        TypeError, ValueError: a member has no JSON form (NaN is none).
    """
    kind: Any = type(value)
    return _writer(kind)(value)


def object_text(value: object) -> str:
    """`json_text` of a dataclass, written anew."""
    kind: Any = type(value)
    tag = getattr(kind, "tag", None)
    head = () if tag is None else (f'"type":{json_text(tag)}',)
    return f"{{{','.join((*head, *_members(kind)(value)))}}}"


def untagged_text(value: object) -> str:
    """`object_text` without the `type` of a tagged class."""
    kind: Any = type(value)
    return f"{{{','.join(_members(kind)(value))}}}"


@cache
def _writer(kind: Any) -> Callable[[Any], str]:
    """How values of a class are written; looked up once per class."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(getattr(kind, "json_text", None), cached_property):
        return attrgetter("json_text")
    if is_dataclass(kind):
        return object_text
    if kind in (tuple, list, frozenset):
        return lambda items: f"[{','.join(map(json_text, items))}]"
    return lambda value: _dumps(encode(value))


@cache
def _members(kind: Any) -> Callable[[Any], Iterable[str]]:
    layout = tuple((f.name, f'"{f.name}":', default_of(f)) for f in fields(kind))

    def write(value: Any) -> list[str]:
        out = []
        for name, key, default in layout:
            member = getattr(value, name)
            if member is default or (default is not MISSING and member == default):
                continue
            kind: Any = type(member)
            out.append(key + _writer(kind)(member))
        return out

    return write
