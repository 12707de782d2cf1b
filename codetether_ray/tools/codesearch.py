"""The tool `codesearch`: where a name is defined and used, with the lines around it."""

import re

from pydantic import Field

from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.listing import list_files
from codetether_ray.tools.pattern import compiled, glob_pattern, literals
from codetether_ray.tools.scan import Found, Scan, left_out, scan

_SHOWN = 50  # matches
_READ = 500  # matches among which definitions are looked for
_ENDINGS = """
astro bash bat c cc cfg cjs clj cljs cmake cpp cs css cts cxx dart dockerfile erl ex exs fs fsx go
gradle graphql groovy h hh hpp hrl hs html hxx ini java jl js json jsonc jsx kt kts less lua m
makefile md mjs ml mli mm mts nim nix php pl pm proto ps1 py pyi pyx r rb rs rst sass scala scss sh
sol sql svelte swift tf toml ts tsx vb vue xml yaml yml zig zsh
"""
_CODE = frozenset(_ENDINGS.split())
_DEFINITION = re.compile(
    r"^\s*(?:[\w@.]+\s+){0,5}?(?:def|class|fn|func|function|struct|enum|trait|interface|type|impl|"
    r"module|namespace|object|record|protocol|macro_rules!|const|let|var|val|static|define)\b"
)


class CodesearchArgs(Arguments):
    """Search source code; definitions come first. Shows lines around each match."""

    pattern: str = Field(description="Regular expression, e.g. a symbol", min_length=1)
    path: str = "."
    file_pattern: str = Field(default="", description="Glob of file names")
    context_lines: int = Field(default=2, ge=0, le=3)
    case_sensitive: bool = False


async def codesearch(args: CodesearchArgs, ctx: ToolContext) -> str:
    """Matches with context: those in definitions first, each by path and line."""
    pattern = compiled(args.pattern, ignore_case=not args.case_sensitive)
    folds = bool(pattern.flags & re.IGNORECASE)
    wanted = glob_pattern(args.file_pattern).fullmatch if args.file_pattern else _is_code
    files = await list_files(ctx, args.path, literals(pattern), ignore_case=folds, wanted=wanted)
    result = await scan(
        ctx.sandbox, ctx.root, files, pattern, limit=_READ, context=args.context_lines
    )
    ranked = sorted(result.found, key=lambda one: not _DEFINITION.match(one.line))
    notes = left_out(result, _READ)
    if len(ranked) > _SHOWN:
        notes = [f"[{_note(result)} matches; {_SHOWN} are shown]", *notes[result.has_more :]]
    return "\n".join([*map(_block, ranked[:_SHOWN]), *notes]) or "no matches"


def _note(result: Scan) -> str:
    return f"more than {_READ}" if result.has_more else str(len(result.found))


def _is_code(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.rpartition(".")[2] in _CODE


def _block(found: Found) -> str:
    lines = [f"{found.path}:{found.number}"]
    first = found.number - len(found.before)
    for number, line in enumerate([*found.before, found.line, *found.after], first):
        lines.append(f"{'>' if number == found.number else ' '}{number:>5} | {line}")
    return "\n".join(lines)


TOOL = Tool("codesearch", CodesearchArgs, codesearch, Effect.READ)
