"""The members of a PRD's objects, read by kind; what is of another kind is noted, not raised."""

import json
from collections.abc import Mapping
from typing import Any

from codetether_ray.ralph.json_layout import child
from codetether_ray.ralph.prd import MOST

_SHOWN = 60


class Fields:
    """Reads one object's members; each problem is a sentence with the JSON path."""

    def __init__(self, data: Mapping[str, Any], path: str, problems: list[str]) -> None:
        self._data, self._path, self._problems = data, path, problems

    def text(self, key: str, default: str | None = None) -> str:
        """A string; it must be there if it has no default."""
        value = self._data.get(key, default)
        if key not in self._data and default is None:
            self._note(key, "it is missing")
        elif not isinstance(value, str):
            self._wrong(key, "a string")
        else:
            return _clean(value)
        return ""

    def command(self, key: str) -> str | None:
        """A shell command; None where there is none."""
        value = self._data.get(key)
        if isinstance(value, str) and "\0" not in value:
            return _clean(value).strip() or None
        if isinstance(value, str):
            self._note(key, "a command cannot hold a NUL character")
        elif value is not None:
            self._wrong(key, "a string or null")
        return None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty where it is not there."""
        value = self._data.get(key, [])
        if not isinstance(value, list):
            self._wrong(key, "a list of strings")
            return ()
        for number, item in enumerate(value):
            if not isinstance(item, str):
                self._problems.append(
                    f"{child(child(self._path, key), number)}: {_shown(item)} is not a string"
                )
        return tuple(_clean(item) for item in value if isinstance(item, str))

    def flag(self, key: str) -> bool:
        """True or false; false where it is not there."""
        value = self._data.get(key, False)
        if isinstance(value, bool):
            return value
        self._wrong(key, "true or false")
        return False

    def small(self, key: str, default: int) -> int:
        """A whole number that fits a byte."""
        value = self._data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong(key, "a whole number")
        elif not 0 <= value <= MOST:
            self._wrong(key, f"in 0..{MOST}")
        else:
            return value
        return default

    def either(self, key: str, alias: str) -> str:
        """Which of two spellings of a key is used.

        Both at once are a problem.
        """
        if key in self._data and alias in self._data:
            self._note(alias, f"{key!r} is there as well; keep one of them")
        return alias if alias in self._data and key not in self._data else key

    def part(self, key: str) -> "Fields":
        """An object; an empty one where it is not there."""
        value = self._data.get(key, {})
        if not isinstance(value, dict):
            self._wrong(key, "an object")
            value = {}
        return Fields(value, child(self._path, key), self._problems)

    def parts(self, key: str) -> tuple["Fields", ...]:
        """A list of objects; empty where it is not there."""
        value = self._data.get(key, [])
        if not isinstance(value, list):
            self._wrong(key, "a list of objects")
            return ()
        found = []
        for number, item in enumerate(value):
            path = child(child(self._path, key), number)
            if isinstance(item, dict):
                found.append(Fields(item, path, self._problems))
            else:
                self._problems.append(f"{path}: {_shown(item)} is not an object")
        return tuple(found)

    def others(self, *known: str) -> tuple[str, ...]:
        """The keys that are not `known`."""
        return tuple(key for key in self._data if key not in known)

    def _wrong(self, key: str, wanted: str) -> None:
        self._note(key, f"{_shown(self._data.get(key))} is not {wanted}")

    def _note(self, key: str, what: str) -> None:
        self._problems.append(f"{child(self._path, key)}: {what}")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return "a number of many digits"
    words = json.dumps(value, ensure_ascii=False)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


def _clean(text: str) -> str:
    """Text that can be written again: JSON may hold halves of a surrogate pair, UTF-8 not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
