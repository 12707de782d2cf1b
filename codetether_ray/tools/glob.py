"""The tool `glob`: files by the shape of their names."""

from pydantic import Field

from codetether_ray.core.errors import PathEscapesError
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import existing
from codetether_ray.tools.listing import list_files
from codetether_ray.tools.pattern import glob_pattern


class GlobArgs(Arguments):
    """Find files by name, e.g. *.py (anywhere) or src/**/test_*.py. Ignored files are left out."""

    pattern: str = Field(min_length=1)
    path: str = Field(default=".", description="Directory to look in")
    limit: int = Field(default=200, ge=1, le=5000)


async def glob(args: GlobArgs, ctx: ToolContext) -> str:
    """Paths relative to the root, sorted; the pattern holds below `path`."""
    if ".." in args.pattern.split("/") or args.pattern.startswith(("/", "~")):
        raise PathEscapesError(args.pattern)
    pattern = glob_pattern(args.pattern)
    below = existing(ctx.root, args.path)
    skip = len(below.relative) + 1 if below.names and below.path.is_dir() else 0
    found = await list_files(ctx, args.path, wanted=lambda path: pattern.fullmatch(path, skip))
    shown = found[: args.limit]
    if len(found) > len(shown):
        shown.append(f"[{len(found)} files match; the first {args.limit} are shown]")
    return "\n".join(shown) or "no files match"


TOOL = Tool("glob", GlobArgs, glob, Effect.READ)
