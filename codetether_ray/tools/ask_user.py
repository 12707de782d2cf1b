"""The tool `ask_user`: a question ends the turn; the next message is its answer."""

from pydantic import Field

from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments


class AskUserArgs(Arguments):
    """Ask the user; your turn ends here, their next message answers."""

    question: str = Field(description="All they need to decide", min_length=1)
    options: list[str] = Field(default=[])


async def ask_user(args: AskUserArgs, ctx: ToolContext) -> str:
    """The question as the user reads it: what the turn ends with is this call's result."""
    choices = [f"{number}. {text}" for number, text in enumerate(args.options, 1)]
    return "\n".join([args.question.strip(), *choices])


TOOL = Tool("ask_user", AskUserArgs, ask_user, Effect.STATE)
