"""The tool `ralph`: a PRD's stories are implemented one by one, each checked by its gates."""

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.child_runs import RalphAction, RalphWish
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments

_A_WEEK_S = 604_800.0  # its agents have clocks and budgets of their own


class RalphArgs(Arguments):
    """Work on a PRD (prd.json). run: implement its open stories, each by a fresh agent and checked
    by the PRD's quality checks, and commit what passes; status: which stories pass; create-prd:
    write a template.
    """

    action: RalphAction
    prd_path: str = Field(default="prd.json", min_length=1)
    project: str = Field(default="", description="For create-prd")
    feature: str = Field(default="", description="For create-prd")
    max_iterations: int = Field(default=10, description="Attempts, all stories together", ge=1)


async def ralph(args: RalphArgs, ctx: ToolContext) -> str:
    """What was done, or how the PRD stands."""
    if ctx.runs is None:
        raise ToolError("Ralph cannot be started here; do the work yourself")
    wish = RalphWish(
        action=args.action,
        prd=args.prd_path,
        project=args.project,
        feature=args.feature,
        max_iterations=args.max_iterations,
    )
    result = await ctx.runs.run(ctx.spec, ctx.call_id, wish)
    if result.is_success:
        return result.text
    raise ToolError(result.text)


TOOL = Tool("ralph", RalphArgs, ralph, Effect.SPAWN, timeout_s=_A_WEEK_S)
