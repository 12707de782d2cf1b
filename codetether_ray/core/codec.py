"""Frozen dataclasses to JSON and back.

A value's JSON is an object of its fields; in a union each class carries a `type` member, which is
its class attribute `tag`. Fields that equal their default are left out, so that lines stay short
and old lines stay readable when a field is added. Unknown members are ignored on reading.
"""

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin

JsonValue = typing.Union[None, bool, int, float, str, list["JsonValue"], dict[str, "JsonValue"]]  # noqa: UP007
JsonObject = dict[str, JsonValue]
T = TypeVar("T")


def default_of(field: Field[Any]) -> object:
    """A field's default, made anew where it has a factory; MISSING if it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else MISSING


_SCALARS = frozenset((str, int, float, bool, type(None)))


def encode(value: object) -> JsonValue:
    """The JSON of a value made of frozen dataclasses, tuples, mappings and scalars.

    Raises:
        TypeError: a member has no JSON form.
    """
    kind: Any = type(value)
    return cast("JsonValue", value) if kind in _SCALARS else _encoder(kind)(value)


@cache
def _encoder(kind: Any) -> Callable[[Any], JsonValue]:
    """How values of a class are encoded; looked up once per class, since every event passes it."""
    if is_dataclass(kind):
        return _object_encoder(kind)
    if issubclass(kind, (tuple, list, frozenset)):
        return lambda items: [encode(item) for item in items]
    if issubclass(kind, Mapping):
        return lambda mapping: {str(key): encode(item) for key, item in mapping.items()}
    for scalar in (str, int, float):  # an enum's member, say
        if issubclass(kind, scalar):
            return scalar
    raise TypeError(f"{kind.__name__} has no JSON form")


def _object_encoder(kind: Any) -> Callable[[Any], JsonValue]:
    tag = getattr(kind, "tag", None)
    head: JsonObject = {} if tag is None else {"type": tag}
    layout = tuple((f.name, default_of(f)) for f in fields(kind))
    scalars = _SCALARS

    def write(value: Any) -> JsonValue:
        out = head.copy()
        for name, default in layout:
            member = getattr(value, name)
            if member is default or (default is not MISSING and member == default):
                continue
            kind: Any = type(member)
            out[name] = member if kind in scalars else _encoder(kind)(member)
        return out

    return write


def encode_object(value: object) -> JsonObject:
    """`encode`, for a value whose JSON is an object."""
    return cast("JsonObject", encode(value))


def decode(cls: type[T], data: JsonValue) -> T:
    """The value of class `cls` (a dataclass, or a union of tagged ones) that `data` describes.

    Raises:
        ValueError: a required member is missing, or no class of the union has that `type`.
    """
    return cast("T", _decoder(cast("Any", cls))(data))


@cache
def _decoder(hint: Any) -> Callable[[Any], Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint))
    if origin in (tuple, frozenset):
        item = _decoder(get_args(hint)[0])
        return lambda data: cast("Any", origin)(item(x) for x in data)
    if isinstance(hint, type) and is_dataclass(hint):
        return _object(hint)
    return lambda data: data


def _union(members: tuple[Any, ...]) -> Callable[[Any], Any]:
    tagged = {m.tag: m for m in members if getattr(m, "tag", None) is not None}
    if not tagged:
        others = [m for m in members if m is not type(None)]
        inner = _decoder(others[0]) if len(others) == 1 else (lambda data: data)
        return lambda data: None if data is None else inner(data)

    def read(data: Any) -> Any:
        if data is None:
            return None
        kind = data.get("type")
        if kind not in tagged:
            raise ValueError(f"unknown type {kind!r}; known: {', '.join(sorted(tagged))}")
        return _decoder(tagged[kind])(data)

    return read


def _object(cls: Any) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(cls, localns={"JsonValue": Any})
    readers = {f.name: _decoder(hints[f.name]) for f in fields(cls)}
    required = {f.name for f in fields(cls) if default_of(f) is MISSING}

    def read(data: Any) -> Any:
        missing = required - data.keys()
        if missing:
            raise ValueError(f"{cls.__name__} lacks {', '.join(sorted(missing))}")
        return cls(**{name: readers[name](data[name]) for name in readers if name in data})

    return read
