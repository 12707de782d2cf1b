"""The tools of one agent: schemas in a stable order, and calls with checked arguments."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from codetether_ray.core.errors import ToolError
from codetether_ray.core.models import ToolSchema
from codetether_ray.ports.tool import Effect, Tool, ToolBox, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.catalog import known, load
from codetether_ray.tools.schema import signature, tool_schema

_MOST_PROBLEMS = 4  # wrong arguments named in one answer


def toolbox(names: Sequence[str]) -> ToolBox:
    """The toolbox with these tools.

    Raises:
        ValueError: there is no tool of that name.
    """
    return _Tools(known(names))


@cache
def _schemas(names: tuple[str, ...]) -> tuple[ToolSchema, ...]:
    return tuple(map(_schema, names))


@cache
def _schema(name: str) -> ToolSchema:
    return tool_schema(load(name))


def prepare(names: Iterable[str]) -> None:
    """Make the schemas of tools now: it takes 15 ms, once in a process."""
    for name in names:
        _schema(name)


class _Tools:
    """Tools by name, sorted: the same names give the same bytes in every process."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def schemas(self) -> tuple[ToolSchema, ...]:
        """What the model sees, sorted by name."""
        return _schemas(self._names)

    def effect(self, name: str) -> Effect | None:
        """A tool's effect; None if this agent has no such tool."""
        return load(name).effect if name in self._names else None

    async def call(self, name: str, arguments: str, ctx: ToolContext) -> str:
        """Check the arguments and run the tool.

        Raises:
            ToolError: there is no such tool, the arguments are wrong, the tool refused, the
                system refused it, or it took too long; the text is for the model.
        """
        if name not in self._names:
            raise ToolError(self._no_such_tool(name))
        tool = load(name)
        checked = parsed(tool, arguments)
        clock = asyncio.timeout(tool.timeout_s)
        try:
            async with clock:
                return clean(await tool.function(checked, ctx))
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise ToolError(f"{name} was stopped after {tool.timeout_s:g} s") from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise ToolError(f"{name}: {error.strerror or error}{where}") from error

    def _no_such_tool(self, name: str) -> str:
        near = _nearest(name, self._names)
        hint = f" Did you mean {near}?" if near else ""
        return f"There is no tool {name!r}.{hint} You have: {', '.join(self._names) or 'none'}."


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
        near = _nearest(place[-1], _names_at(tool.arguments, place[:-1]))
        hint = f" (did you mean {near}?)" if near else ""
        return f"there is no argument {name}{hint}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    is_shape = detail["msg"].startswith("Input should be ")
    got = f", not {type(detail['input']).__name__}" if is_shape else ""
    return f"{name} must be {message}{got}" if is_shape else f"{name}: {message}".lstrip(": ")


def _nearest(word: str, names: Sequence[str]) -> str | None:
    """The name that `word` begins, or is most like; case and underscores do not count."""
    plain = {_plain(name): name for name in names}
    wanted = _plain(word)
    begun = [name for name in plain if wanted and name.startswith(wanted)]
    near = begun or get_close_matches(wanted, plain, 1, 0.5)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


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


def clean(text: str) -> str:
    """`text` with surrogate pairs joined and lone surrogates replaced: it can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _clean_json(item) for key, item in value.items()}
    return value
