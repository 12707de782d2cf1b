"""The tool `task`: a sub-agent does a part of the work."""

from pydantic import Field

from codetether_ray.core.errors import ToolError, TreeLimitError
from codetether_ray.core.spec import TurnResult
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments

_A_WEEK_S = 604_800.0  # a sub-agent has clocks and budgets of its own, and may wait for a quota


class TaskArgs(Arguments):
    """Give part of the work to a sub-agent in the same directory and wait for its answer.

    It knows nothing of this conversation. Several calls in one message run side by side.
    """

    description: str = Field(description="Three to six words", min_length=1)
    prompt: str = Field(description="All it needs to know, and what to answer", min_length=1)


async def task(args: TaskArgs, ctx: ToolContext) -> str:
    """The sub-agent's last message."""
    if ctx.children is None:
        raise ToolError("this agent cannot start sub-agents; do the work yourself")
    try:
        result = await ctx.children.run_child(ctx.spec, ctx.call_id, args.description, args.prompt)
    except TreeLimitError as error:
        raise ToolError(f"{error}; do the work yourself") from error
    if result.is_success:
        return result.text or "(the sub-agent finished without a word)"
    raise ToolError(_failure(result))


def _failure(result: TurnResult) -> str:
    why = f": {result.error}" if result.error else ""
    said = f"\nIts last words:\n{result.text}" if result.text else ""
    return f"the sub-agent did not finish ({result.outcome}, {result.steps} steps){why}{said}"


TOOL = Tool("task", TaskArgs, task, Effect.SPAWN, timeout_s=_A_WEEK_S)
