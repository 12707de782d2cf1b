"""The tool `grep`: lines that match."""

import re

from pydantic import Field

from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.listing import list_files
from codetether_ray.tools.pattern import compiled, glob_pattern, literals
from codetether_ray.tools.scan import left_out, scan


class GrepArgs(Arguments):
    """Search the lines of files. Ignored (.gitignore) and binary files are left out."""

    pattern: str = Field(description="Regular expression", min_length=1)
    path: str = Field(default=".", description="File or directory")
    include: str = Field(default="", description="Glob of file names, e.g. *.{ts,tsx}")
    literal: bool = Field(default=False, description="Take pattern as plain text")
    ignore_case: bool = False
    limit: int = Field(default=100, ge=1, le=1000)


async def grep(args: GrepArgs, ctx: ToolContext) -> str:
    """`path:line: text` for each match, by path and line."""
    pattern = compiled(args.pattern, literal=args.literal, ignore_case=args.ignore_case)
    ignores_case = bool(pattern.flags & re.IGNORECASE)
    files = await list_files(
        ctx,
        args.path,
        literals(pattern),
        ignore_case=ignores_case,
        wanted=glob_pattern(args.include or "**").fullmatch,
    )
    result = await scan(ctx.sandbox, ctx.root, files, pattern, limit=args.limit)
    lines = [f"{one.path}:{one.number}: {one.line}" for one in result.found]
    return "\n".join([*lines, *left_out(result, args.limit)]) or "no matches"


TOOL = Tool("grep", GrepArgs, grep, Effect.READ)
