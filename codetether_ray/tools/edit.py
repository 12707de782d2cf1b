"""The tool `edit`: replace a text in a file."""

from pydantic import Field

from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.editing import replace_text
from codetether_ray.tools.files import Changes


class EditArgs(Arguments):
    """Replace old_string, which must occur once, by new_string in a file."""

    path: str
    old_string: str = Field(description="Text as in the file, with enough lines to be unique")
    new_string: str
    replace_all: bool = Field(default=False, description="Replace every occurrence")


async def edit(args: EditArgs, ctx: ToolContext) -> str:
    """What was replaced and where."""
    changes = Changes(ctx.root)
    done = replace_text(
        changes, args.path, args.old_string, args.new_string, replace_all=args.replace_all
    )
    changes.commit()
    return done


TOOL = Tool("edit", EditArgs, edit, Effect.WRITE)
