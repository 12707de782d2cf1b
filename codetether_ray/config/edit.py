"""Sets one key in a TOML file and leaves every other line as it is, comments included.

The edit is made on lines and then proven: the new text must parse to the old data with that key
changed, otherwise nothing is written.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.config.kinds import literal
from codetether_ray.core.errors import ConfigError

_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_\-. ]+?)\s*\]\s*(#.*)?")


@dataclass(frozen=True, slots=True)
class _Statement:
    """Lines `first` to `last` say `path`; `table` is the header above them."""

    path: tuple[str, ...]
    table: tuple[str, ...]
    first: int
    last: int


def set_in_file(path: Path, key: str, value: object) -> None:
    """Set dotted `key` to the TOML value `value` in a file, which is made if it is not there.

    Raises:
        ConfigError: the file is not TOML, is written in a way that this cannot edit, or cannot
            be written.
    """
    path = path.resolve()  # a link to a file kept elsewhere stays a link
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        new = set_in_text(text, key, value)
        _replace(path, new)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; edit the file by hand") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def set_in_text(text: str, key: str, value: object) -> str:
    """The text with `key` set.

    Raises:
        ValueError: the key cannot be set without touching other lines.
    """
    parts = tuple(key.split("."))
    wanted = _with(tomllib.loads(text), parts, value)
    line_end = "\r\n" if "\r\n" in text else "\n"
    lines = text.removesuffix(line_end).split(line_end) if text else []
    new = line_end.join([*_edit(lines, parts, literal(value)), ""])
    try:
        is_right = tomllib.loads(new) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise ValueError(f"`{key}` is written in a way that this program does not edit")
    return new


def _with(data: Mapping[str, Any], parts: tuple[str, ...], value: object) -> dict[str, Any]:
    head, rest = parts[0], parts[1:]
    below = data.get(head, {})
    if rest and not isinstance(below, dict):
        raise ValueError(f"`{head}` is no table")
    plain = list(value) if isinstance(value, tuple) else value
    return {**data, head: _with(below, rest, value) if rest else plain}


def _edit(lines: list[str], parts: tuple[str, ...], word: str) -> list[str]:
    statements, headers = _read(lines)
    same = [s for s in statements if s.path == parts]
    if same:
        old = same[0]
        line = lines[old.first]
        left = line[: line.index("=")].rstrip()
        comment = _comment(line) if old.first == old.last else ""
        lines[old.first : old.last + 1] = [f"{left} = {word}{comment}"]
    elif parts[:-1] and parts[:-1] not in headers:
        gap = [""] if lines and lines[-1].strip() else []
        lines += [*gap, f"[{'.'.join(parts[:-1])}]", f"{parts[-1]} = {word}"]
    else:
        table = parts[:-1]
        inside = [s.last for s in statements if s.table == table]
        above = headers.get(table, _preamble(lines) - 1)
        at = max([above, *inside]) + 1
        lines.insert(at, f"{parts[-1]} = {word}")
        if not table and at + 1 < len(lines) and _HEADER.fullmatch(lines[at + 1]):
            lines.insert(at + 1, "")
    return lines


def _preamble(lines: list[str]) -> int:
    """How many lines at the top are a comment that stands by itself."""
    for number, line in enumerate(lines):
        if not line.strip():
            return number
        if not line.lstrip().startswith("#"):
            return 0  # the comment speaks of this line
    return len(lines)


def _read(lines: list[str]) -> tuple[list[_Statement], dict[tuple[str, ...], int]]:
    """The statements, and the line of each table's header."""
    statements: list[_Statement] = []
    headers: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        header = _HEADER.fullmatch(line)
        if not line or line.startswith("#"):
            pass
        elif header:
            table = tuple(part.strip() for part in header[1].split("."))
            headers[table] = at
        elif line.startswith("["):
            table = (line,)  # an array of tables, or a quoted name: not ours to edit
        else:
            last = _last_line(lines, at)
            name = tuple(p.strip().strip("\"'") for p in line.partition("=")[0].split("."))
            statements.append(_Statement((*table, *name), table, at, last))
            at = last
        at += 1
    return statements, headers


def _last_line(lines: list[str], first: int) -> int:
    """Where the statement that begins at `first` ends: the first line that makes it whole."""
    for last in range(first, len(lines)):
        if _loads("\n".join(lines[first : last + 1])) is not None:
            return last
    raise ValueError("it cannot be read line by line")


def _comment(line: str) -> str:
    """The comment behind a value, with the blanks before it."""
    whole = _loads(line)
    for at, letter in enumerate(line):
        if letter == "#" and _loads(line[:at]) == whole:
            return line[len(line[:at].rstrip()) :]
    return ""


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with unfinished.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(mode)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
