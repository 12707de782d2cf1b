"""The tool `list_dir`: what is in a directory."""

import os

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.files import existing

_MOST = 500  # entries shown


class ListDirArgs(Arguments):
    """List a directory: names ending in / are directories, in @ symlinks."""

    path: str = Field(default=".")


async def list_dir(args: ListDirArgs, ctx: ToolContext) -> str:
    """One name a line, sorted; `.git` is left out."""
    found = existing(ctx.root, args.path)
    if not found.path.is_dir():
        raise ToolError(f"{found.relative} is a file; use read_file")
    with os.scandir(found.path) as entries:
        names = sorted(_shown(entry) for entry in entries if entry.name != ".git")
    if len(names) > _MOST:
        names = [*names[:_MOST], f"[{len(names)} entries; the first {_MOST} are shown]"]
    return "\n".join(names) or "(empty directory)"


def _shown(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return f"{entry.name}@"
    return f"{entry.name}/" if entry.is_dir() else entry.name


TOOL = Tool("list_dir", ListDirArgs, list_dir, Effect.READ)
