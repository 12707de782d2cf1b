"""Messages of any protobuf type, odd on purpose, and bytes that are none; the same by a seed."""

from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

_DEPTH = 6
_TEXTS = (
    "", "x", "..", "../../etc/passwd", "%2e%2e/", "\x00", "a\x00b", "\n\r", "\ud7ff", "\ufffd",
    "\U0001f600", "'; drop table tasks; --", "{}", "[]", "null", "NaN", "-1", "0", "ROLE_USER",
    "tasks/1", "tasks/1/pushNotificationConfigs/2", "//", "application/json", "text/plain",
    "http://127.0.0.1:1/", "http://[::1", "file:///etc/passwd", "1e999", "a" * 300, "b" * 70_000,
    "9" * 5_000, '{"a":' * 200, "2026-02-30T25:61:61Z", "grpc.health.v1.Health", "m", "c",
    "é\u202e", "https://example.com", "tasks/",
)  # fmt: skip
_NUMBERS = (0, 1, 2, 7, 50, 1000, 2**31 - 1)
_WIDE = (-1, -(2**31), 2**31 - 1)
_REALS = (0.0, -0.0, 1.5, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 1e16)
_CALM = frozenset(("Struct", "Value", "ListValue"))


def request(chance: Random, kind: Any) -> bytes:
    """Bytes for an RPC that takes `kind`: a message, a damaged one, or noise."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.choice((0, 1, 3, 40, 3000)))
    raw = bytes(made(chance, kind).SerializePartialToString())
    return damaged(chance, raw) if chance.random() < 0.3 else raw


def damaged(chance: Random, raw: bytes) -> bytes:
    """The same with some bytes changed, lost, doubled or put in."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0 if at < len(data):
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 9)]
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 9))
            case _:
                data[at:at] = data[at : at + 40]
    return bytes(data)


def made(chance: Random, kind: Any, depth: int = 0) -> Any:
    """A message of a type, by its descriptor."""
    message = GetMessageClass(kind)()
    likely = 0.7 if depth < 3 else 0.35
    for field in kind.fields:
        if depth >= _DEPTH or chance.random() > likely:
            continue
        if kind.name in _CALM and depth > 3 and field.message_type is not None:
            continue
        _fill(chance, message, field, depth)
    return message


def _fill(chance: Random, message: Any, field: Any, depth: int) -> None:
    if _is_map(field):
        _fill_map(chance, getattr(message, field.name), field, depth)
    elif field.is_repeated:
        many = getattr(message, field.name)
        for _ in range(chance.choice((0, 1, 1, 2, 5))):
            if field.message_type is not None:
                many.add().CopyFrom(made(chance, field.message_type, depth + 1))
            else:
                many.append(_value(chance, field))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(made(chance, field.message_type, depth + 1))
    else:
        setattr(message, field.name, _value(chance, field))


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _fill_map(chance: Random, entries: Any, field: Any, depth: int) -> None:
    value = field.message_type.fields_by_name["value"]
    for _ in range(chance.choice((0, 1, 3))):
        key = chance.choice(_TEXTS)
        if value.message_type is not None:
            entries[key].CopyFrom(made(chance, value.message_type, depth + 1))
        else:
            entries[key] = _value(chance, value)


def _value(chance: Random, field: Any) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.choice((0, 1, 100)))
        return chance.choice(_TEXTS)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return chance.choice(_REALS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return chance.choice((0, 1, 2, 3, 99))
    if kind in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return chance.choice(_NUMBERS)
    return chance.choice((*_NUMBERS, *_WIDE))
