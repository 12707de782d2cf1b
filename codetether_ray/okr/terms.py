"""Measures as models and people write them, and what makes one sound."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from codetether_ray.core.codec import decode
from codetether_ray.core.errors import InvalidOkrError
from codetether_ray.core.measures import (
    PARSERS,
    CommandMeasure,
    FileMeasure,
    HttpMeasure,
    MeasureTerms,
    Network,
    RubricMeasure,
)
from codetether_ray.okr.json_path import parse_path

KINDS = ("command", "file", "http", "rubric")
_LONGEST_S = 3600.0
_MOST_CRITERIA = 10
_TEXTS = ("command", "parse", "pattern", "json_path", "path", "contains", "url", "network")


def read_measure(data: object, where: str) -> MeasureTerms:
    """The measure that a JSON object (`type`, and its fields) describes.

    Raises:
        InvalidOkrError: it is not sound.
    """
    if not isinstance(data, dict):
        raise InvalidOkrError(where, f"a measure is an object with a type ({', '.join(KINDS)})")
    fields = {key: value for key, value in data.items() if value is not None}
    if fields.get("type") not in KINDS:
        raise InvalidOkrError(
            where, f'"type" is {fields.get("type")!r}; it must be one of {", ".join(KINDS)}'
        )
    _check_types(fields, where)
    try:
        measure: MeasureTerms = decode(cast("Any", MeasureTerms), fields)
    except ValueError as error:
        raise InvalidOkrError(where, str(error)) from None
    check_measure(measure, where)
    return measure


def check_measure(measure: MeasureTerms, where: str) -> None:
    """Refuse a measure that could never measure.

    Raises:
        InvalidOkrError: it is not sound.
    """
    problem = _problem(measure)
    if problem:
        raise InvalidOkrError(where, problem)


def is_yes_or_no(measure: MeasureTerms) -> bool:
    """Whether it gives 1 or 0 alone."""
    if isinstance(measure, CommandMeasure):
        return measure.parse == "exit_status"
    return isinstance(measure, (FileMeasure, HttpMeasure)) and not measure.json_path


def describe(measure: MeasureTerms | None) -> str:
    """How something is measured, in a line."""
    match measure:
        case CommandMeasure(parse=parse, pattern=pattern, json_path=path):
            how = {"regex": f"regex {pattern}", "json": f"JSON {path or '$'}"}.get(parse, "")
            return f"`{measure.command}` ({how or parse.replace('_', ' ')})"
        case FileMeasure(path=file, contains=text, json_path=path):
            more = f", JSON {path}" if path else f" holds {text!r}" if text else " exists"
            return f"file {file}{more}"
        case HttpMeasure(url=url, json_path=path):
            return f"GET {url}" + (f", JSON {path}" if path else f" answers {measure.status}")
        case RubricMeasure(criteria=criteria):
            return f"a second model judges {len(criteria)} criteria, with quotations"
        case _:
            return "no measure"


def _check_types(fields: Mapping[str, Any], where: str) -> None:
    for name in _TEXTS:
        if name in fields and not isinstance(fields[name], str):
            raise InvalidOkrError(where, f'"{name}" must be a string')
        if len(str(fields.get(name, "")).splitlines()) > 1:
            raise InvalidOkrError(where, f'"{name}" must be one line')
    for name in ("files", "criteria"):
        value = fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidOkrError(where, f'"{name}" must be a list of strings')
        if any(len(item.splitlines()) > 1 for item in value):
            raise InvalidOkrError(where, f'each of "{name}" must be one line')
    for name in ("timeout_s", "status"):
        value = fields.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidOkrError(where, f'"{name}" must be a number')


def _problem(measure: MeasureTerms) -> str:
    match measure:
        case CommandMeasure():
            return _command_problem(measure)
        case FileMeasure(path=path, json_path=steps):
            return _path_problem(path) or _steps_problem(steps)
        case HttpMeasure():
            return _http_problem(measure)
        case RubricMeasure(criteria=criteria):
            if not 1 <= len(criteria) <= _MOST_CRITERIA:
                return f"a rubric needs 1 to {_MOST_CRITERIA} criteria; it has {len(criteria)}"
            return "" if all(c.strip() for c in criteria) else "a criterion is blank"


def _command_problem(measure: CommandMeasure) -> str:
    if not measure.command.strip():
        return "the command is empty"
    if measure.parse not in PARSERS:
        return f'"parse" is {measure.parse!r}; it must be one of {", ".join(PARSERS)}'
    if not 0 < measure.timeout_s <= _LONGEST_S:
        return f"the timeout must be more than 0 and at most {_LONGEST_S:g} s"
    problem = _pattern_problem(measure.pattern) if measure.parse == "regex" else ""
    problems = (problem, _steps_problem(measure.json_path), *map(_path_problem, measure.files))
    return next(filter(None, problems), "")


def _pattern_problem(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        return f"the pattern {pattern!r} is no regular expression: {error}"
    return "" if groups else f"the pattern {pattern!r} needs a group around the number"


def _http_problem(measure: HttpMeasure) -> str:
    parts = urlsplit(measure.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{measure.url!r} is no http or https address"
    if parts.username or parts.password:
        return "an address with a user or password in it is not stored"
    if measure.network not in get_args(Network):
        return f'"network" is {measure.network!r}; it must be public or loopback'
    if not 0 < measure.timeout_s <= _LONGEST_S:
        return f"the timeout must be more than 0 and at most {_LONGEST_S:g} s"
    return _steps_problem(measure.json_path)


def _path_problem(path: str) -> str:
    parts = PurePosixPath(path)
    if not path.strip() or parts.is_absolute() or ".." in parts.parts or ".git" in parts.parts:
        return f"{path!r} must be a path inside the repository"
    return ""


def _steps_problem(path: str) -> str:
    try:
        parse_path(path)
    except ValueError as error:
        return str(error)
    return ""
