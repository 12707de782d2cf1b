"""An OKR as text that a person edits, and back.

    objective: Bookings are fast
      What it is about, in lines that are set in.

    key result: p95 below 200 ms
      target: 200
      better: lower
      unit: ms
      measure: command
      command: python scripts/bench.py
      parse: regex p95=([0-9.]+)
      files: scripts/bench.py, data

Lines that begin with # say nothing. A line that is no `name: value`, or begins with a bar, is
description.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from codetether_ray.core.errors import InvalidOkrError
from codetether_ray.core.measures import (
    CommandMeasure,
    FileMeasure,
    HttpMeasure,
    MeasureTerms,
    RubricMeasure,
)
from codetether_ray.core.okrs import KeyResult, Okr
from codetether_ray.okr.rules import check_okr, read_okr
from codetether_ray.okr.stamps import NewId, fresh

_HELP = """\
# Edit, save and close; an empty file changes nothing. Lines that begin with # say nothing.
# Every key result has a target, what is better (higher or lower) and a measure:
#   measure: command   command, parse (exit_status, number, regex PATTERN, json PATH), files,
#                      timeout (seconds), any exit: yes
#   measure: file      path, and contains or json
#   measure: http      url, and status or json; network: loopback for this machine
#   measure: rubric    criterion, once for each
"""
_FIELD = re.compile(r"\s+([a-z][a-z ]*?):(?:\s+(.*))?$")
_LINE = re.compile(r"(objective|key result):\s*(.*)$")
_NAMES = frozenset(
    {
        "target", "better", "unit", "type", "measure", "command", "parse", "files", "timeout",
        "any exit", "path", "contains", "json", "url", "status", "network", "criterion",
    }
)  # fmt: skip


def to_text(okr: Okr) -> str:
    """The OKR as text."""
    lines = [f"objective: {okr.title}", *_set_in(okr.description)]
    for key_result in okr.key_results:
        lines += ["", f"key result: {key_result.title}", *_set_in(key_result.description)]
        lines += [f"  {name}: {value}" for name, value in _fields(key_result)]
    return f"{_HELP}\n" + "\n".join(lines) + "\n"


def from_text(text: str, okr: Okr | None = None, *, new_id: NewId = fresh, now: str = "") -> Okr:
    """The OKR that a text says; of `okr`, where it is an edited one.

    A key result that keeps its title keeps its id.

    Raises:
        InvalidOkrError: by its line, what is wrong.
    """
    blocks = list(_blocks(text))
    if not blocks or blocks[0].kind != "objective":
        where = f"line {blocks[0].line}" if blocks else "line 1"
        raise InvalidOkrError(where, "the first line says `objective: …`")
    made = _okr(blocks, new_id, now)
    if okr is None:
        return made
    return _of(okr, made)


@dataclass(slots=True)
class _Block:
    """An objective or a key result, as its lines say it."""

    kind: str
    title: str
    line: int
    description: list[str] = field(default_factory=list)
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)
    criteria: list[str] = field(default_factory=list)


def _blocks(text: str) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        begun = _LINE.match(line)
        if begun:
            if block is not None:
                yield block
            block = _Block(begun[1], begun[2].strip(), number)
        elif block is None or not line[0].isspace():
            raise InvalidOkrError(
                f"line {number}", "it is neither `objective: …`, `key result: …` nor set in"
            )
        else:
            _take(block, line, number)
    if block is not None:
        yield block


def _take(block: _Block, line: str, number: int) -> None:
    found = _FIELD.match(line)
    if found is None or found[1] not in _NAMES or block.kind == "objective":
        block.description.append(line.strip().removeprefix("|").strip())
        return
    name, value = found[1], (found[2] or "").strip()
    if name == "criterion":
        block.criteria.append(value)
    elif name in block.fields:
        raise InvalidOkrError(f"line {number}", f"`{name}` was said before")
    block.fields[name] = (number, value)


def _okr(blocks: list[_Block], new_id: NewId, now: str) -> Okr:
    results = blocks[1:]
    again = next((b for b in results if b.kind == "objective"), None)
    if again is not None:
        raise InvalidOkrError(f"line {again.line}", "there is one objective alone")
    data = {
        "objective": blocks[0].title,
        "description": "\n".join(blocks[0].description),
        "key_results": [],
    }
    if not blocks[0].title:
        raise InvalidOkrError(f"line {blocks[0].line}", "the objective has no title")
    entries: list[dict[str, Any]] = []
    for block in results:
        entries.append(_entry(block))
        _checked(data, entries[-1], block, new_id)
    okr = read_okr({**data, "key_results": entries}, new_id, now)
    check_okr(okr)
    return okr


def _checked(data: dict[str, Any], entry: dict[str, Any], block: _Block, new_id: NewId) -> None:
    """Say by its line what is wrong with one key result."""
    try:
        read_okr({**data, "key_results": [entry]}, new_id, "")
    except InvalidOkrError as error:
        raise InvalidOkrError(f"line {block.line}, {block.title!r}", error.problem) from None


def _entry(block: _Block) -> dict[str, Any]:
    kind = _value(block, "measure")
    measure: dict[str, Any] = {"type": kind}
    for name, key, convert in _MEASURE_FIELDS:
        if name in block.fields:
            measure[key] = convert(*block.fields[name])
    if "parse" in block.fields:
        measure |= _parse(block)
    if block.criteria:
        measure["criteria"] = block.criteria
    entry: dict[str, Any] = {
        "title": block.title,
        "description": "\n".join(block.description),
        "direction": _value(block, "better") or "higher",
        "unit": _value(block, "unit"),
        "measure": measure,
    }
    if _value(block, "type"):
        entry["metric_type"] = _value(block, "type")
    if "target" in block.fields:
        entry["target"] = _number(*block.fields["target"])
    return entry


def _parse(block: _Block) -> dict[str, str]:
    how, _, rest = _value(block, "parse").partition(" ")
    given = {"parse": how.replace("-", "_")}
    if how == "regex":
        given["pattern"] = rest.strip()
    elif how == "json":
        given["json_path"] = rest.strip()
    return given


def _value(block: _Block, name: str) -> str:
    return block.fields.get(name, (0, ""))[1]


def _number(line: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidOkrError(f"line {line}", f"{text!r} is no number") from None


def _yes(line: int, text: str) -> bool:
    if text not in ("yes", "no"):
        raise InvalidOkrError(f"line {line}", f"{text!r} is neither yes nor no")
    return text == "yes"


def _same(_: int, text: str) -> str:
    return text


def _words(_: int, text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _whole(line: int, text: str) -> int:
    return int(_number(line, text))


_MEASURE_FIELDS: tuple[tuple[str, str, Callable[[int, str], Any]], ...] = (
    ("command", "command", _same),
    ("files", "files", _words),
    ("timeout", "timeout_s", _number),
    ("any exit", "any_exit", _yes),
    ("path", "path", _same),
    ("contains", "contains", _same),
    ("json", "json_path", _same),
    ("url", "url", _same),
    ("status", "status", _whole),
    ("network", "network", _same),
)


def _of(okr: Okr, made: Okr) -> Okr:
    """`made` as an edition of `okr`: ids stay where titles do."""
    known = {key_result.title: key_result for key_result in okr.key_results}
    results = []
    for key_result in made.key_results:
        old = known.get(key_result.title)
        id, created = (old.id, old.created_at) if old else (key_result.id, key_result.created_at)
        kind = old.metric_type if old and key_result.metric_type == "progress" else None
        results.append(
            replace(
                key_result,
                id=id,
                okr_id=okr.id,
                created_at=created,
                metric_type=kind or key_result.metric_type,
            )
        )
    return replace(
        okr,
        title=made.title,
        description=made.description,
        key_results=tuple(results),
        updated_at=made.updated_at or okr.updated_at,
    )


def _set_in(text: str) -> list[str]:
    """A description's lines; one that would be taken for a field begins with a bar."""
    lines = [f"  {line.strip()}" for line in text.splitlines() if line.strip()]
    return [f"  | {line.strip()}" if _is_odd(line) else line for line in lines]


def _is_odd(line: str) -> bool:
    found = _FIELD.match(line)
    return line.lstrip().startswith("|") or (found is not None and found[1] in _NAMES)


def _fields(key_result: KeyResult) -> Iterator[tuple[str, str]]:
    yield "target", f"{key_result.target_value:.12g}"
    yield "better", key_result.direction
    if key_result.unit:
        yield "unit", key_result.unit
    if key_result.metric_type != "progress":
        yield "type", key_result.metric_type
    yield from _measure_fields(key_result.measure)


def _measure_fields(measure: MeasureTerms | None) -> Iterator[tuple[str, str]]:
    match measure:
        case CommandMeasure():
            yield from _command_fields(measure)
        case FileMeasure(path=path, contains=contains, json_path=json_path):
            yield from (("measure", "file"), ("path", path))
            yield from _said(("contains", contains), ("json", json_path))
        case HttpMeasure():
            yield from (("measure", "http"), ("url", measure.url), ("status", str(measure.status)))
            yield from _said(("json", measure.json_path))
            yield from (("network", measure.network), ("timeout", f"{measure.timeout_s:g}"))
        case RubricMeasure(criteria=criteria):
            yield "measure", "rubric"
            yield from (("criterion", text) for text in criteria)
        case _:
            pass


def _command_fields(measure: CommandMeasure) -> Iterator[tuple[str, str]]:
    more = {"regex": measure.pattern, "json": measure.json_path}.get(measure.parse, "")
    yield from (("measure", "command"), ("command", measure.command))
    yield "parse", f"{measure.parse} {more}".strip()
    yield from _said(("files", ", ".join(measure.files)))
    if measure.any_exit:
        yield "any exit", "yes"
    yield "timeout", f"{measure.timeout_s:g}"


def _said(*fields: tuple[str, str]) -> Iterator[tuple[str, str]]:
    return (one for one in fields if one[1])
