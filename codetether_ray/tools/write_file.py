"""The tool `write_file`: a whole file, new or replaced."""

from pydantic import Field

from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import Changes


class WriteFileArgs(Arguments):
    """Create or overwrite a file; directories are made. To change a file, prefer edit."""

    path: str
    content: str = Field(description="All of the file")


async def write_file(args: WriteFileArgs, ctx: ToolContext) -> str:
    """What was done, with the size."""
    changes = Changes(ctx.root)
    place = changes.locate(args.path)
    existed = changes.exists(place)
    data = args.content.encode()
    changes.write(place, data)
    if not changes.commit() and existed:
        return f"{place.relative} is already so"
    return f"{'replaced' if existed else 'created'} {place.relative} ({len(data):,} bytes)"


TOOL = Tool("write_file", WriteFileArgs, write_file, Effect.WRITE)
