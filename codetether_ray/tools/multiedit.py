"""The tool `multiedit`: several replacements, all or none."""

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.editing import replace_text
from codetether_ray.tools.files import Changes


class Edit(Arguments):
    """One replacement."""

    path: str
    old_string: str
    new_string: str
    replace_all: bool = False


class MultieditArgs(Arguments):
    """Several edits, in one or more files, in order; if one fails, none is made."""

    edits: list[Edit] = Field(min_length=1)


async def multiedit(args: MultieditArgs, ctx: ToolContext) -> str:
    """What was replaced and where, one line an edit."""
    changes = Changes(ctx.root)
    done: list[str] = []
    for number, edit in enumerate(args.edits, 1):
        try:
            done.append(
                replace_text(
                    changes,
                    edit.path,
                    edit.old_string,
                    edit.new_string,
                    replace_all=edit.replace_all,
                )
            )
        except ToolError as error:
            raise ToolError(
                f"edit {number} ({edit.path}): {error}\nNothing was changed."
            ) from error
    changes.commit()
    return "\n".join(done)


TOOL = Tool("multiedit", MultieditArgs, multiedit, Effect.WRITE)
