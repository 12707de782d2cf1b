"""From what a measure printed to a number."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from codetether_ray.core.measures import CommandMeasure
from codetether_ray.okr.json_path import at_path

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def value_of_output(measure: CommandMeasure, exit_code: int, output: str) -> float:
    """The number that a command's end and output mean.

    Raises:
        ValueError: there is none, for the reason it says.
    """
    if measure.parse == "exit_status":
        return 1.0 if exit_code == 0 else 0.0
    refuse_failed(measure, exit_code)
    if measure.parse == "regex":
        found = [match.group(1) for match in re.finditer(measure.pattern, output, re.MULTILINE)]
        return number_matched(measure.pattern, found)
    if measure.parse == "json":
        return number_at(find_json(output), measure.json_path)
    return _only_number(output)


def refuse_failed(measure: CommandMeasure, exit_code: int) -> None:
    """Let the output of a command count only where its end allows it.

    Raises:
        ValueError: it does not.
    """
    if exit_code != 0 and not measure.any_exit:
        raise ValueError(f"the command ended with exit status {exit_code}")


def number_at(data: object, path: str) -> float:
    """The number at a JSON path; true is 1, false is 0.

    Raises:
        ValueError: nothing is there, or no number.
    """
    found = at_path(data, path)
    if isinstance(found, bool):
        return float(found)
    if isinstance(found, (int, float)):
        return finite(_float(found))
    raise ValueError(f"at {path or '$'} is {json.dumps(found)[:80]}, which is no number")


def find_json(output: str) -> Any:
    """The JSON that an output is, or that begins last in it at a line's beginning.

    Raises:
        ValueError: there is none.
    """
    text = output.strip()
    starts = [0, *(m.end() for m in re.finditer(r"\n(?=[\[{])", text))]
    decoder = json.JSONDecoder()
    for start in (starts[0], *reversed(starts[1:])):
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if start == 0 and text[end:].strip():
            continue  # more follows: a later one may be meant
        return found
    raise ValueError("the output holds no JSON")


def finite(value: float) -> float:
    """The value, where it is a number indeed.

    Raises:
        ValueError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number to compare")
    return value


def number_matched(pattern: str, found: Sequence[str | None]) -> float:
    """The number in the last of a pattern's first groups.

    Raises:
        ValueError: there is none.
    """
    if not found:
        raise ValueError(f"nothing in the output matches {pattern!r}")
    text = found[-1]
    if text is None:
        raise ValueError(f"the first group of {pattern!r} matched nothing")
    try:
        return finite(float(text.replace(",", "").replace("_", "")))
    except ValueError:
        raise ValueError(f"{pattern!r} matched {text!r}, which is no number") from None


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError("the number is too large to compare") from None


def _only_number(output: str) -> float:
    lines = [line for line in output.splitlines() if line.strip()]
    found = _NUMBER.findall(lines[-1]) if lines else []
    if len(found) != 1:
        last = lines[-1][:80] if lines else ""
        raise ValueError(f"the last line must hold one number; it is {last!r}")
    return finite(float(found[0]))
