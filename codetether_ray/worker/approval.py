"""What `--auto-approve` lets a task's agents do.

| level  | tools                                  | where               | effect outside      |
|--------|----------------------------------------|---------------------|---------------------|
| `all`  | every tool                             | the codebase itself | whatever they do    |
| `safe` | reads, notes, file edits; no commands, | a copy of it: a git | a branch with the   |
|        | no further agents                      | worktree of its own | edits, nothing else |
| `none` | reads alone                            | the codebase itself | none                |

Where a codebase is no git repository there is no copy, and `safe` has reads and notes alone. Swarms
run commands: they need `all`.
"""

from dataclasses import dataclass
from typing import Literal

from codetether_ray.tools.catalog import READ_TOOLS, WRITE_TOOLS

Level = Literal["all", "safe", "none"]
LEVELS: tuple[Level, ...] = ("all", "safe", "none")
NOTES = ("todo_read", "todo_write")
"""They change the agent's own list alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What one level allows."""

    tools: tuple[str, ...] | None
    """Names of the tools in a copy of the codebase (or in itself, where `needs_copy` is not set);
    None: all."""
    tools_without_copy: tuple[str, ...] | None
    """The same where there can be no copy."""
    needs_copy: bool
    may_swarm: bool


_LEAVES: dict[Level, Leave] = {
    "all": Leave(tools=None, tools_without_copy=None, needs_copy=False, may_swarm=True),
    "safe": Leave(
        tools=tuple(sorted((*READ_TOOLS, *WRITE_TOOLS, *NOTES))),
        tools_without_copy=tuple(sorted((*READ_TOOLS, *NOTES))),
        needs_copy=True,
        may_swarm=False,
    ),
    "none": Leave(
        tools=READ_TOOLS, tools_without_copy=READ_TOOLS, needs_copy=False, may_swarm=False
    ),
}


def leave_of(level: Level) -> Leave:
    """What a level allows."""
    return _LEAVES[level]


def capabilities(level: Level) -> tuple[str, ...]:
    """What a worker of a level says that it can do."""
    return ("a2a", "ralph", "swarm") if leave_of(level).may_swarm else ("a2a",)
