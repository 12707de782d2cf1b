"""A tape: what models said in a run, by agent and step. The file format is docs/reference/tape.md.

JSON lines. The first is the header: `{"tape": 1, "model": …, "normalisers": […]}`. Every other line
is one model call: who asked, what had come into the conversation since its last answer, and the
response.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from codetether_ray.core.codec import JsonValue, decode, encode_object
from codetether_ray.core.errors import TapeError
from codetether_ray.core.messages import Message
from codetether_ray.core.models import ModelResponse

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Normaliser:
    """What may differ between a recording and a replay: matches become `replacement`."""

    name: str
    pattern: str
    replacement: str


NORMALISERS = (
    Normaliser(
        name="situation",
        pattern=r"(?s)\n*<situation>\n.*?\n</situation>",
        replacement="",
    ),
    Normaliser(
        name="time",
        pattern=r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?",
        replacement="<time>",
    ),
    Normaliser(
        name="date",
        pattern=(  # as `date` and `ls -l` write it
            r"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?"
            r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +"
            r"(?:\d\d:\d\d(?::\d\d)?(?: [A-Z]{3,4})?(?: \d{4}\b)?|\d{4}\b)"
        ),
        replacement="<time>",
    ),
    Normaliser(
        name="duration",
        pattern=(
            r"\b\d+(?:\.\d+)?\s?(?:µs|us|ms|s|secs?|seconds?|min|minutes?)\b(?: \(\d+:\d\d:\d\d\))?"
        ),
        replacement="<duration>",
    ),
    Normaliser(name="address", pattern=r"\b0x[0-9a-fA-F]+\b", replacement="<address>"),
    Normaliser(
        name="port", pattern=r"\b(127\.0\.0\.1|localhost|\[::1\]):\d+", replacement=r"\1:<port>"
    ),
    Normaliser(
        name="id",
        pattern=(
            r"\b(?:ses|swm|rlp|rly)_[0-9a-z]{10}_[0-9a-f]{8}\b"
            r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
            r"|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,64}\b"
        ),
        replacement="<id>",
    ),
    Normaliser(
        name="path",
        pattern=r"(?<![\w.~<>*/-])/(?:[\w.@+<>-]+/)*[\w.@+<>-]+/?",
        replacement="<path>",
    ),
    Normaliser(
        name="version",
        pattern=r"(?<![\d.])\d+\.\d+\.\d+(?:\.?(?:rc|a|b|dev|post)\d+)?\b(?!\.\d)",
        replacement="<v>",
    ),
)
"""The default ones, in the order in which they are applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeEntry:
    """One model call.

    `heard` are the user and tool messages that had come since the agent's last answer; `calls` is
    what that answer called. `is_cut`: a summary had replaced older messages.
    """

    agent: str
    step: int
    model: str
    """`provider/model` of the recording."""
    response: ModelResponse
    purpose: Literal["step", "compaction"] = "step"
    tools: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    heard: tuple[Message, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Tape:
    """A recorded run. Steps are unique within an agent."""

    entries: tuple[TapeEntry, ...]
    model: str = ""
    """The model of the run's first call, for its window and price."""
    normalisers: tuple[Normaliser, ...] = NORMALISERS
    note: str = field(default="")
    """For people who open the file."""

    @cached_property
    def by_call(self) -> Mapping[tuple[str, int], TapeEntry]:
        """Entries by agent path and step."""
        return {(entry.agent, entry.step): entry for entry in self.entries}

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        return tuple((re.compile(n.pattern), n.replacement) for n in self.normalisers)

    def normalise(self, text: str) -> str:
        """`text` without what may differ between runs."""
        for pattern, replacement in self._patterns:
            text = pattern.sub(replacement, text)
        return text

    def save(self, path: Path) -> None:
        """Write the tape, whole or not at all."""
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text("".join(_lines(self)), encoding="utf-8")
        part.replace(path)


def load(path: Path) -> Tape:
    """Read a tape; the same file is read once per process.

    Raises:
        TapeError: there is no such file, or it is no tape of this version.
    """
    try:
        return _load(path.resolve(), path.stat().st_mtime_ns)
    except OSError as error:
        raise TapeError(str(path), error.strerror or str(error)) from error


@lru_cache(maxsize=8)
def _load(path: Path, _changed_ns: int) -> Tape:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = _object(path, 1, lines[0] if lines else "")
    if header.get("tape") != VERSION:
        raise TapeError(str(path), f"line 1 does not say that it is a tape of version {VERSION}")
    try:
        normalisers = tuple(
            decode(Normaliser, item) for item in _list(header.get("normalisers", []))
        )
        for normaliser in normalisers:
            re.compile(normaliser.pattern)
    except (ValueError, re.error) as error:
        raise TapeError(str(path), f"a normaliser of line 1: {error}") from error
    return Tape(
        entries=tuple(_entries(path, lines)),
        model=str(header.get("model", "")),
        normalisers=normalisers,
        note=str(header.get("note", "")),
    )


def _entries(path: Path, lines: list[str]) -> Iterable[TapeEntry]:
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            try:
                yield decode(TapeEntry, _object(path, number, line))
            except (ValueError, TypeError, AttributeError) as error:
                raise TapeError(str(path), f"line {number}: {error}") from error


def _object(path: Path, number: int, line: str) -> dict[str, JsonValue]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise TapeError(str(path), f"line {number} is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise TapeError(str(path), f"line {number} is no object")
    return data


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _lines(tape: Tape) -> Iterable[str]:
    header = {
        "tape": VERSION,
        "model": tape.model,
        "note": tape.note,
        "normalisers": [encode_object(normaliser) for normaliser in tape.normalisers],
    }
    yield json.dumps(header, ensure_ascii=False) + "\n"
    for entry in tape.entries:
        yield json.dumps(encode_object(entry), ensure_ascii=False) + "\n"
