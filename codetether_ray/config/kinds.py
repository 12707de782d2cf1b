"""Kinds of settings: what each accepts from a file and from a command line.

`parse` takes a TOML value, `read` the text of an argument or variable; both give the value, or
raise `ValueError` whose message says what would be right.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

Value = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    parse: Callable[[object], Value]
    read: Callable[[str], object]


def _as_is(text: str) -> object:
    return text


def _text(value: object) -> Value:
    if not isinstance(value, str):
        raise ValueError('must be text in quotes, such as "uv sync"')
    return value


def _model(value: object) -> Value:
    if not isinstance(value, str) or not all(value.partition("/")):
        raise ValueError('must be "PROVIDER/MODEL", such as "anthropic/claude-sonnet-5-5"')
    return value


def _url(value: object) -> Value:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('must be an address, such as "http://127.0.0.1:11434/v1"')
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password; keep the key with `codetether auth`")
    return value if isinstance(value, str) else None


def _flag(value: object) -> Value:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


_FLAGS = {"1": True, "true": True, "yes": True, "on": True}
_FLAGS |= {"0": False, "false": False, "no": False, "off": False}


def _read_flag(text: str) -> object:
    return _FLAGS.get(text.strip().lower(), text)


def _whole(least: int) -> Callable[[object], Value]:
    def parse(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"must be a whole number of at least {least}")
        return value

    return parse


def _read_whole(text: str) -> object:
    return int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text) else text


def _texts(value: object) -> Value:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of texts, such as [".env", ".venv"]')
    return tuple(value)


def _read_texts(text: str) -> object:
    if text.lstrip().startswith("["):
        import tomllib  # noqa: PLC0415 - for lists alone, as users write them

        try:
            return tomllib.loads(f"x = {text}")["x"]
        except tomllib.TOMLDecodeError:
            return text
    return [item.strip() for item in text.split(",") if item.strip()]


_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def _duration(value: object) -> Value:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _UNITS_S:
        raise ValueError('must be a number of seconds, or a duration such as "90s", "5m", "2h"')
    return float(match[1]) * _UNITS_S[match[2].lower()]


def _size(value: object) -> Value:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _UNITS_BYTES or float(match[1]) <= 0:
        raise ValueError('must be a number of bytes, or a size such as "200MB", "1GiB"')
    return int(float(match[1]) * _UNITS_BYTES[match[2].lower()])


def choice(*words: str) -> Kind:
    """One of some words."""

    def parse(value: object) -> Value:
        if not isinstance(value, str) or value not in words:
            raise ValueError("must be one of " + ", ".join(f'"{word}"' for word in words))
        return value

    return Kind(parse, _as_is)


def whole(least: int) -> Kind:
    """A whole number of at least `least`."""
    return Kind(_whole(least), _read_whole)


TEXT = Kind(_text, _as_is)
MODEL = Kind(_model, _as_is)
URL = Kind(_url, _as_is)
FLAG = Kind(_flag, _read_flag)
TEXTS = Kind(_texts, _read_texts)
DURATION = Kind(_duration, _as_is)
SIZE = Kind(_size, _as_is)


def literal(value: object) -> str:
    """`value` as TOML.

    Raises:
        ValueError: it is no text, number, flag or list of texts.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    raise ValueError(f"{value!r} has no TOML form here")
