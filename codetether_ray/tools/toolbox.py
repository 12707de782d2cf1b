"""The tools of one agent: schemas in a stable order, and calls with checked arguments.

What models see is there without importing any tool: an agent's first request does not wait for
them (`tools.offers`).
"""

import asyncio
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from codetether_ray.core.errors import ToolError
from codetether_ray.core.models import ToolSchema
from codetether_ray.ports.tool import Effect, ToolBox, ToolContext
from codetether_ray.tools import offers
from codetether_ray.tools.catalog import known, load
from codetether_ray.tools.words import clean, nearest

_PARSING = "codetether_ray.tools.parsing"  # imported at the first call: it loads pydantic


def toolbox(names: Sequence[str]) -> ToolBox:
    """The toolbox with these tools.

    Raises:
        ValueError: there is no tool of that name.
    """
    return _Tools(known(names))


def prepare(names: Iterable[str]) -> None:
    """Import tools and what checks their arguments now: it takes 0.1 s, once in a process."""
    wanted = known(tuple(names))
    offers.schemas(wanted)
    for name in wanted:
        load(name)
    import_module(_PARSING)


class _Tools:
    """Tools by name, sorted: the same names give the same bytes in every process."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def schemas(self) -> tuple[ToolSchema, ...]:
        """What the model sees, sorted by name."""
        return offers.schemas(self._names)

    def effect(self, name: str) -> Effect | None:
        """A tool's effect; None if this agent has no such tool."""
        return offers.effect(name) if name in self._names else None

    async def call(self, name: str, arguments: str, ctx: ToolContext) -> str:
        """Check the arguments and run the tool.

        Raises:
            ToolError: there is no such tool, the arguments are wrong, the tool refused, the
                system refused it, or it took too long; the text is for the model.
        """
        if name not in self._names:
            raise ToolError(self._no_such_tool(name))
        tool = load(name)
        checked = _parsed(tool, arguments)
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
        near = nearest(name, self._names)
        hint = f" Did you mean {near}?" if near else ""
        return f"There is no tool {name!r}.{hint} You have: {', '.join(self._names) or 'none'}."


def _parsed(tool: Any, arguments: str) -> Any:
    return import_module(_PARSING).parsed(tool, arguments)
