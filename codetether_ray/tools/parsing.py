"""A call's arguments: from JSON text to what the tool takes, or a sentence for the model."""

import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Tool
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.schema import signature
from codetether_ray.tools.words import clean, nearest

_MOST_PROBLEMS = 4  # wrong arguments named in one answer


def parsed(tool: Tool[Any], arguments: str) -> Any:
    """The tool's arguments from JSON text.

    Raises:
        ToolError: they are wrong; the text says how, and names the right ones.
    """
    try:
        data = json.loads(arguments) if arguments.strip() else {}
        if isinstance(data, str):  # some models encode twice
            data = json.loads(data)
    except ValueError as error:
        problem = f"the arguments are not valid JSON ({error})"
        raise ToolError(_answer(tool, [problem])) from error
    if not isinstance(data, dict):
        raise ToolError(_answer(tool, ["the arguments must be a JSON object"]))
    try:
        return tool.arguments.model_validate(_clean_json(data))
    except ValidationError as error:
        problems = [_problem(tool, detail) for detail in error.errors(include_url=False)]
        raise ToolError(_answer(tool, problems)) from error


def _answer(tool: Tool[Any], problems: list[str]) -> str:
    more = len(problems) - _MOST_PROBLEMS
    said = "; ".join(problems[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    return f"{tool.name}: {said}. Its arguments: {signature(tool) or 'none'}."


def _problem(tool: Tool[Any], detail: ErrorDetails) -> str:
    place = [str(part) for part in detail["loc"]]
    name = ".".join(place)
    if detail["type"] == "missing":
        return f"{name} is missing"
    if detail["type"] == "extra_forbidden":
        near = nearest(place[-1], _names_at(tool.arguments, place[:-1]))
        hint = f" (did you mean {near}?)" if near else ""
        return f"there is no argument {name}{hint}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    is_shape = detail["msg"].startswith("Input should be ")
    got = f", not {type(detail['input']).__name__}" if is_shape else ""
    return f"{name} must be {message}{got}" if is_shape else f"{name}: {message}".lstrip(": ")


def _names_at(model: type[Any], place: list[str]) -> list[str]:
    """The argument names at a place such as `edits.0`."""
    for part in place:
        if part.isdigit():
            continue
        field = model.model_fields[part]
        inner = [a for a in getattr(field.annotation, "__args__", ()) if isinstance(a, type)]
        models = [a for a in inner if issubclass(a, Arguments)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _clean_json(item) for key, item in value.items()}
    return value
