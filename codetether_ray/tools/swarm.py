"""The tool `swarm`: many agents do parts of a task side by side, and their work is merged here."""

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.child_runs import SwarmWish
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments

_A_WEEK_S = 604_800.0  # its agents have clocks and budgets of their own


class SwarmArgs(Arguments):
    """Have a large task split among agents that work side by side, each in a worktree of its own;
    their merged work is committed to the branch of this directory. For work that falls into
    separate parts: it costs many model calls.
    """

    task: str = Field(description="All that they need to know", min_length=1)
    max_subagents: int | None = Field(default=None, description="At most 20", ge=1, le=20)


async def swarm(args: SwarmArgs, ctx: ToolContext) -> str:
    """What the swarm came to."""
    if ctx.runs is None:
        raise ToolError("no swarm can be started here; do the work yourself")
    wish = SwarmWish(task=args.task, max_subagents=args.max_subagents)
    result = await ctx.runs.run(ctx.spec, ctx.call_id, wish)
    if result.is_success:
        return result.text
    raise ToolError(result.text)


TOOL = Tool("swarm", SwarmArgs, swarm, Effect.SPAWN, timeout_s=_A_WEEK_S)
