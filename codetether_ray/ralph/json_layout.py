"""Where the values of a JSON text stand, so that some can be changed and all else kept.

Strict JSON (RFC 8259): no NaN, no key twice, nothing behind the value. Only the containers that
are asked for are walked; everything within is decoded at once. Errors are one sentence with the
JSON path of the value that is wrong.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

from codetether_ray.core.errors import PrdError

ROOT = "$"
_SPACE = re.compile(r"[ \t\n\r]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BOM = "\ufeff"
_DEEPEST = 40
"""Levels down to which the path of an error is told."""


@dataclass(frozen=True, slots=True)
class Span:
    """A value and where its text stands: `start` is its first character, `end` behind its last."""

    start: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class Member(Span):
    """A member of an object, with its key and where that stands (quotes included)."""

    key: str
    key_start: int
    key_end: int


@dataclass(frozen=True, slots=True)
class Members:
    """An object's members in the order of the text, and where its braces stand."""

    start: int
    end: int
    members: tuple[Member, ...]

    def get(self, key: str) -> Member | None:
        """The member of that key."""
        return next((member for member in self.members if member.key == key), None)


def child(path: str, key: str | int) -> str:
    """The JSON path of a member or an item."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if _NAME.fullmatch(key) else f"{path}[{json.dumps(key)}]"


def root_span(text: str) -> Span:
    """The one value of a text, which may begin with a byte order mark.

    Raises:
        PrdError: the text is not JSON.
    """
    start = _skip(text, 1 if text.startswith(_BOM) else 0)
    if start == len(text):
        raise PrdError((f"{ROOT}: the file is empty",))
    found = _span(text, start, ROOT, 0)
    behind = _skip(text, found.end)
    if behind < len(text):
        _fail(text, behind, ROOT, "there is more text behind the value")
    return found


def members_at(text: str, start: int, path: str = ROOT, depth: int = 0) -> Members:
    """The members of the object whose brace stands at `start`.

    Raises:
        PrdError: the text is not JSON.
    """
    found: list[Member] = []
    seen: set[str] = set()
    at = _skip(text, start + 1)
    if text[at : at + 1] == "}":
        return Members(start, at + 1, ())
    while True:
        member = _member(text, at, path, depth)
        if member.key in seen:
            raise PrdError((f"{child(path, member.key)}: the key is there twice",))
        seen.add(member.key)
        found.append(member)
        at = _skip(text, member.end)
        if text[at : at + 1] == "}":
            return Members(start, at + 1, tuple(found))
        _expect(text, at, ",", path)
        at = _skip(text, at + 1)


def items_at(text: str, start: int, path: str, depth: int = 0) -> tuple[Span, ...]:
    """The items of the array whose bracket stands at `start`.

    Raises:
        PrdError: the text is not JSON.
    """
    return tuple(_items(text, start, path, depth))


def _items(text: str, start: int, path: str, depth: int) -> Iterator[Span]:
    at, number = _skip(text, start + 1), 0
    if text[at : at + 1] == "]":
        return
    while True:
        item = _span(text, at, child(path, number), depth + 1)
        yield item
        at, number = _skip(text, item.end), number + 1
        if text[at : at + 1] == "]":
            return
        _expect(text, at, ",", path)
        at = _skip(text, at + 1)


def _member(text: str, at: int, path: str, depth: int) -> Member:
    _expect(text, at, '"', path)
    try:
        key, key_end = scanstring(text, at + 1, True)
    except json.JSONDecodeError as error:
        _fail(text, error.pos, path, error.msg)
    colon = _skip(text, key_end)
    _expect(text, colon, ":", child(path, key))
    span = _span(text, _skip(text, colon + 1), child(path, key), depth + 1)
    return Member(span.start, span.end, span.value, key, at, key_end)


class _RefusedError(ValueError):
    """What the decoder takes and JSON does not."""


def _no_constant(word: str) -> NoReturn:
    raise _RefusedError(f"{word} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RefusedError("a key is there twice")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_unique)


def _span(text: str, start: int, path: str, depth: int) -> Span:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise PrdError((f"{path}: it is nested too deeply",)) from None
    except ValueError as error:
        if depth < _DEEPEST:
            _look_inside(text, start, path, depth)
        if isinstance(error, json.JSONDecodeError):
            _fail(text, error.pos, path, error.msg)
        what = str(error) if isinstance(error, _RefusedError) else "a number has too many digits"
        raise PrdError((f"{path}: {what}",)) from None
    return Span(start, end, value)


def _look_inside(text: str, start: int, path: str, depth: int) -> None:
    """Raise the error of the innermost value that is wrong, where the value is a container."""
    if text[start : start + 1] == "{":
        members_at(text, start, path, depth)
    elif text[start : start + 1] == "[":
        items_at(text, start, path, depth)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, letter: str, path: str) -> None:
    if text[at : at + 1] != letter:
        wanted = "a key in double quotes" if letter == '"' else f"a {letter!r}"
        _fail(text, at, path, f"{wanted} is missing")


def _fail(text: str, at: int, path: str, what: str) -> NoReturn:
    """Raise a syntax error; a text that ends too early is told so."""
    is_cut = at >= len(text.rstrip()) or what.startswith("Unterminated string")
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    where = f"line {line}, column {column}"
    if is_cut:
        raise PrdError((f"{path}: the file ends in the middle of it ({where})",))
    detail = what[:1].lower() + what[1:]
    raise PrdError((f"{path}: it is not valid JSON: {detail} at {where}",))
