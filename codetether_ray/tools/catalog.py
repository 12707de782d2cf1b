"""Which tools there are, where they live, and who gets which."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, cast

from codetether_ray.core.spec import AgentKind
from codetether_ray.ports.tool import Tool

READ_TOOLS: tuple[str, ...] = ("codesearch", "glob", "grep", "list_dir", "read_file")
"""They look at files and change nothing."""

WRITE_TOOLS: tuple[str, ...] = ("apply_patch", "edit", "multiedit", "write_file")
"""They change files inside the workspace."""

_WORK = (*READ_TOOLS, *WRITE_TOOLS, "bash", "batch", "todo_read", "todo_write")

SPAWNING: tuple[str, ...] = ("ralph", "swarm", "task")
"""They start agents: a leaf of the tree has none of them."""

ASKING = "ask_user"
"""It ends the turn with a question: only for agents whose last message somebody answers."""

PEER_TOOLS: tuple[str, ...] = ("discover", "send_message")
"""They talk with other agents: only for sessions' agents where peers may be known."""

ALL_TOOLS: tuple[str, ...] = tuple(
    sorted((*_WORK, *SPAWNING, *PEER_TOOLS, ASKING, "prd", "swarm_share"))
)
"""Every tool's name; its module in this room has the same name."""

TOOLS_BY_KIND: Mapping[AgentKind, tuple[str, ...]] = MappingProxyType(
    {
        "main": tuple(sorted((*_WORK, *SPAWNING, ASKING, "prd"))),
        "subagent": tuple(sorted((*_WORK, "prd", "task", "swarm_share"))),
        "resolver": tuple(sorted((*READ_TOOLS, *WRITE_TOOLS, "bash"))),
        "planner": READ_TOOLS,
        "synthesis": (),
        "member": tuple(sorted((*_WORK, *SPAWNING, "prd"))),
        "aide": (),
    }
)


def tools_for(kind: AgentKind, *, is_leaf: bool = False) -> tuple[str, ...]:
    """The names that an agent of this kind gets; a leaf of the tree cannot start agents."""
    names = TOOLS_BY_KIND[kind]
    return tuple(name for name in names if name not in SPAWNING) if is_leaf else names


def known(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without doubles, sorted.

    Raises:
        ValueError: there is no such tool.
    """
    unknown = sorted(set(names) - set(ALL_TOOLS))
    if unknown:
        raise ValueError(f"no tool named {', '.join(unknown)}; there are {', '.join(ALL_TOOLS)}")
    return tuple(sorted(set(names)))


@cache
def load(name: str) -> Tool[Any]:
    """The tool of that name; its module is imported now."""
    return cast("Tool[Any]", import_module(f"codetether_ray.tools.{name}").TOOL)
