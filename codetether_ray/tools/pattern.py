"""Patterns of searches: regular expressions as Python reads them, and globs.

`literals` tells which texts any matching line must hold; that is all that `rg` is asked for, so the
two programs' dialects never matter.
"""

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from codetether_ray.core.errors import ToolError
from codetether_ray.tools.ignore import glob_regex

_POSIX = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9A-Fa-f",
    "word": r"\w",
}
_POSIX_CLASS = re.compile(r"\[:(" + "|".join(_POSIX) + r"):\]")
_SHORTEST = 2  # characters of a literal that is worth asking for
_MOST_LITERALS = 20


def compiled(pattern: str, *, literal: bool = False, ignore_case: bool = False) -> re.Pattern[str]:
    """A search pattern.

    Raises:
        ToolError: it is no regular expression.
    """
    text = re.escape(pattern) if literal else _POSIX_CLASS.sub(lambda m: _POSIX[m[1]], pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set": it means what it says
            return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "escape special characters, or set literal to true"
        raise ToolError(f"{pattern!r} is not a regular expression ({error}); {hint}") from error


def literals(pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Texts of which each match holds at least one; empty if that cannot be told."""
    try:
        tree = _parse(pattern)
        found = _required(list(tree))
    except (AttributeError, TypeError, ValueError, KeyError, IndexError, RecursionError):
        return ()  # the parser is Python's own affair; without it all files are read
    if pattern.flags & re.IGNORECASE:  # Python takes dotless and dotted I for one letter, rg not
        found = {max(re.split("[iI]", text), key=len) for text in found}
    usable = len(found) <= _MOST_LITERALS and all(_is_usable(text) for text in found)
    return tuple(sorted(found)) if found and usable else ()


def longest_safe_line(pattern: re.Pattern[str]) -> int:
    """Characters of a line up to which matching surely ends in a moment; 0 if never sure.

    Each open repetition multiplies the time by the length of the line; one within another makes it
    exponential.
    """
    try:
        tree = list(_parse(pattern))
        depth, count = _depth(tree), _count(tree)
    except (AttributeError, TypeError, ValueError, IndexError, RecursionError):
        return 0
    return 0 if depth > 1 else {0: 5000, 1: 5000, 2: 1000}.get(count, 300)


def _parse(pattern: re.Pattern[str]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re._parser.parse(pattern.pattern, pattern.flags)  # type: ignore[attr-defined]


def _is_usable(text: str) -> bool:
    return len(text) >= _SHORTEST and text.isascii() and text.isprintable()


def _required(items: list[Any]) -> set[str]:
    """The best set of texts that any match of this sequence needs one of."""
    options: list[set[str]] = []
    run = ""
    for name, value in ((str(op), value) for op, value in items):
        if name == "LITERAL":
            run += chr(value)
            continue
        if run:
            options.append({run})
            run = ""
        options += _inside(name, value)
    if run:
        options.append({run})
    good = [option for option in options if option and all(map(_is_usable, option))]
    return max(good, key=lambda option: min(map(len, option)), default=set())


def _inside(name: str, value: Any) -> list[set[str]]:
    if name == "SUBPATTERN":
        flags_on, flags_off = value[1], value[2]
        return [] if flags_on or flags_off else [_required(list(value[3]))]
    if name == "ATOMIC_GROUP":
        return [_required(list(value))]
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and value[0] >= 1:
        return [_required(list(value[2]))]
    if name == "BRANCH":
        branches = [_required(list(branch)) for branch in value[1]]
        return [set().union(*branches)] if all(branches) else []
    return []


def _depth(items: Iterable[Any]) -> int:
    """How deep open repetitions are nested."""
    return max((_is_open(op, value) + _depth_in(op, value) for op, value in items), default=0)


def _depth_in(op: Any, value: Any) -> int:
    return max((_depth(part) for part in _parts(op, value)), default=0)


def _count(items: Iterable[Any]) -> int:
    """How many open repetitions there are."""
    return sum(
        _is_open(op, value) + sum(_count(part) for part in _parts(op, value)) for op, value in items
    )


def _is_open(op: Any, value: Any) -> int:
    return int(str(op) in ("MAX_REPEAT", "MIN_REPEAT") and value[1] > 10)


def _parts(op: Any, value: Any) -> list[Any]:
    """The sub-patterns of an element."""
    if str(op) == "BRANCH":
        return list(value[1])
    kind = re._parser.SubPattern  # type: ignore[attr-defined]
    if isinstance(value, kind):
        return [value]
    is_group = isinstance(value, tuple)
    return [part for part in value if isinstance(part, kind)] if is_group else []


@lru_cache(maxsize=256)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob over paths: `*`, `**`, `?`, `[…]`, `{a,b}`; without a slash, over names.

    Raises:
        ToolError: it is malformed.
    """
    glob = glob.removeprefix("./")
    prefix = "" if "/" in glob else "(?:.*/)?"
    regexes = [glob_regex(one) for one in _expanded(glob.removeprefix("/"))]
    if not glob or None in regexes:
        raise ToolError(f"{glob!r} is not a glob; use * ? [abc] {{a,b}} and ** for any directories")
    return re.compile(prefix + "(?:" + "|".join(filter(None, regexes)) + ")", re.DOTALL)


def _expanded(glob: str, most: int = 1000) -> list[str]:
    """`glob` with its braces multiplied out."""
    begin = glob.find("{")
    end = _closing(glob, begin) if begin >= 0 else -1
    if end < 0:
        return [glob]
    head, tails = glob[:begin], _expanded(glob[end + 1 :], most)
    out: list[str] = []
    for choice in _choices(glob[begin + 1 : end]):
        for middle in _expanded(choice, most):
            out += [head + middle + tail for tail in tails]
            if len(out) > most:
                raise ToolError("the braces of the glob make too many patterns")
    return out


def _closing(glob: str, begin: int) -> int:
    depth = 0
    for at in range(begin, len(glob)):
        depth += {"{": 1, "}": -1}.get(glob[at], 0)
        if depth == 0:
            return at
    return -1


def _choices(inner: str) -> list[str]:
    """`inner` divided at the commas that are in no braces of their own."""
    out, depth = [""], 0
    for character in inner:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            out.append("")
        else:
            out[-1] += character
    return out
