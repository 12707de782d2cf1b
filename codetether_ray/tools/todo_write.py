"""The tool `todo_write`: replaces the agent's own list."""

from typing import Literal

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, Todo, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.todo_read import listed


class Item(Arguments):
    """One line of the list; without an id it gets its number."""

    content: str = Field(min_length=1)
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    id: str = ""


class TodoWriteArgs(Arguments):
    """Replace your to-do list."""

    todos: list[Item] = Field(description="The whole list")


async def todo_write(args: TodoWriteArgs, ctx: ToolContext) -> str:
    """The list as it is now."""
    todos = tuple(
        Todo(
            id=item.id or str(number),
            content=item.content,
            status=item.status,
            priority=item.priority,
        )
        for number, item in enumerate(args.todos, 1)
    )
    if len({todo.id for todo in todos}) < len(todos):
        raise ToolError("two items have the same id; leave the ids out or make them differ")
    ctx.notebook.todos = todos
    return listed(todos)


TOOL = Tool("todo_write", TodoWriteArgs, todo_write, Effect.STATE)
