"""The tool `todo_read`: the agent's own list."""

from codetether_ray.ports.tool import Effect, Todo, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments


class TodoReadArgs(Arguments):
    """Read your to-do list."""


async def todo_read(args: TodoReadArgs, ctx: ToolContext) -> str:
    """One line an item."""
    return listed(ctx.notebook.todos)


def listed(todos: tuple[Todo, ...]) -> str:
    """The list as text: id, status, priority where it is not medium, content."""
    return "\n".join(map(_line, todos)) or "(the list is empty)"


def _line(todo: Todo) -> str:
    priority = "" if todo.priority == "medium" else f" ({todo.priority})"
    return f"{todo.id}. [{todo.status}]{priority} {todo.content}"


TOOL = Tool("todo_read", TodoReadArgs, todo_read, Effect.READ)
