"""Integers of 2^53 and more as text: other readers of JSON would round them.

A line that has such says where, in its member `ints`: a list of paths into the payload. There the
text is a number again when it is read back.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from codetether_ray.core.jsontext import json_text

INTS = "ints"
_LIMIT = 1 << 53

Path = tuple[str | int, ...]

_SIXTEEN = b"0" * 16  # 2^53 has sixteen digits
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


def has_big_int(text: str) -> bool:
    """Whether JSON text may hold such an integer; cheap, and true of long digits in texts too."""
    return _SIXTEEN in text.encode("utf-8", "surrogatepass").translate(_ZEROS)


def quote_ints(text: str) -> tuple[str, str]:
    """JSON text with its big integers as texts, and the line's member that says which.

    The member ends with a comma; it is empty, and the text as it was, where there are none.
    """
    data = json.loads(text)
    paths = list(_find(data, ()))
    if not paths:
        return text, ""
    for path in paths:
        data = _replaced(data, path, str)
    return json_text(data), f'"{INTS}":{json_text(paths)},'


def with_int(data: Any, path: Any) -> Any:
    """`data` with the text at `path` as the integer that it was."""
    return _replaced(data, tuple(path), int)


def _find(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, int) and abs(value) >= _LIMIT:
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _find(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find(item, (*path, number))


def _replaced(data: Any, path: Path, kind: type) -> Any:
    """`data` with `kind` of the value at `path` in its place; changed in place but at the root."""
    if not path:
        return kind(data)
    at = data
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = kind(at[path[-1]])
    return data
