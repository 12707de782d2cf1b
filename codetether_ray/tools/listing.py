"""Files of the workspace that a search sees, by `rg` where there is one, else by a walk.

Hidden files are seen, ignored ones are not, nor is what git and package managers keep
(`ignore.ALWAYS`), nor symlinks. `rg` only narrows the choice down: which files count is decided
here in both cases, so the results are the same, and in the same order (by path).
"""

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import ToolContext
from codetether_ray.tools.files import existing
from codetether_ray.tools.ignore import ALWAYS, IgnoreRules, git_top
from codetether_ray.tools.paths import Place

Wanted = Callable[[str], object]
"""Says of a path relative to the root whether it is looked for."""

_RG_FLAGS = (
    "--no-config --no-messages --hidden --no-ignore-dot --no-ignore-global --no-ignore-parent "
    "--no-ignore-exclude --no-require-git --null --no-line-number --color=never"
)
_RG_TIMEOUT_S = 60.0
_RG_OUTPUT = 64_000_000  # bytes of paths; beyond that, the walk
_NOTHING_FOUND = 1  # rg's exit code


@dataclass(frozen=True, slots=True)
class Start:
    """Where a search begins, and the rules that hold below it."""

    root: Path
    place: Place
    rules: IgnoreRules
    from_top: str
    """The start, relative to the directory where the rules begin."""

    def files(self, paths: Sequence[str], wanted: Wanted) -> list[str]:
        """Of paths relative to the start: those that are wanted and seen, relative to the root."""
        prefix = f"{self.from_top}/" if self.from_top else ""
        shown = self.shown
        return sorted(
            shown + path
            for path in paths
            if wanted(shown + path)
            and not self.rules.hides(self.from_top, prefix + path)
            and _is_plain(f"{self.place.path}/{path}")
        )

    @property
    def shown(self) -> str:
        """What comes before a path relative to the start, to make it relative to the root."""
        return "".join(f"{name}/" for name in self.place.names)


def start_at(root: Path, path: str) -> Start:
    """The start of a search.

    Raises:
        ToolError: nothing is there, or it is outside the root.
    """
    found = existing(root, path)
    top, exclude = _rules_from(found.root)
    rules = IgnoreRules(top, exclude)
    from_top = _below(top, found.path)
    if found.names and rules_hide(rules, _below(top, found.root), from_top):
        rules, from_top = IgnoreRules(found.path), ""  # asked for by name: its own rules hold
    return Start(found.root, found, rules, from_top)


def _rules_from(root: Path) -> tuple[Path, str]:
    """The highest directory whose ignore files count, and the exclude file's text."""
    top = git_top(root)
    if top is None:
        return root, ""
    if rules_hide(IgnoreRules(*top), "", _below(top[0], root)):
        return root, ""
    return top


def rules_hide(rules: IgnoreRules, base: str, path: str) -> bool:
    """Whether a directory, or one between `base` and it, is ignored."""
    directory = base
    names = path[len(base) :].strip("/")
    for name in names.split("/") if names else []:
        if rules.is_ignored(directory, name, is_directory=True):
            return True
        directory = f"{directory}/{name}" if directory else name
    return False


def _below(top: Path, path: Path) -> str:
    return "" if path == top else path.relative_to(top).as_posix()


def _is_plain(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


async def list_files(
    ctx: ToolContext,
    path: str,
    literals: Sequence[str] = (),
    *,
    ignore_case: bool = False,
    wanted: Wanted = lambda path: True,
) -> list[str]:
    """Files at or below `path` that are `wanted`, relative to the root, sorted.

    With `literals`, files without any of these texts may be left out.

    Raises:
        ToolError: nothing is at `path`, or it is outside the root.
    """
    start = start_at(ctx.root, path)
    if start.place.path.is_file():
        return [start.place.relative] if wanted(start.place.relative) else []
    if ctx.search_program is not None:
        found = await _by_program(ctx, start, literals, ignore_case=ignore_case)
        if found is not None:
            return await asyncio.to_thread(start.files, found, wanted)
    return await asyncio.to_thread(_by_walk, start, wanted)


async def _by_program(
    ctx: ToolContext, start: Start, literals: Sequence[str], *, ignore_case: bool
) -> list[str] | None:
    """Paths relative to the start, as `rg` finds them; None if it cannot."""
    command = [str(ctx.search_program), *_RG_FLAGS.split()]
    command += [f"--glob=!{name}" for name in sorted(ALWAYS)]
    if literals:
        command += ["--files-with-matches", "--fixed-strings", *(f"-e{text}" for text in literals)]
        command += ["--ignore-case"] if ignore_case else ["--case-sensitive"]
    else:
        command += ["--files"]
    try:
        done = await ctx.sandbox.run(
            [*command, "./"],
            cwd=start.place.path,
            timeout_s=_RG_TIMEOUT_S,
            max_output_bytes=_RG_OUTPUT,
        )
    except ToolError:
        return None
    if done.exit_code not in (0, _NOTHING_FOUND) or done.is_truncated or done.timed_out:
        return None
    return [name.removeprefix("./") for name in done.output.split("\0") if name]


def _by_walk(start: Start, wanted: Wanted) -> list[str]:
    found: list[str] = []
    top = str(start.place.path)
    ahead = [""]
    while ahead:
        directory = ahead.pop()
        from_top = "/".join(filter(None, (start.from_top, directory)))
        try:
            entries = list(os.scandir(os.path.join(top, directory)))  # noqa: PTH118 - hot
        except OSError:
            continue
        for entry in entries:
            is_directory = entry.is_dir(follow_symlinks=False)
            if not is_directory and not entry.is_file(follow_symlinks=False):
                continue
            if not _is_text(entry.name):
                continue
            if start.rules.is_ignored(from_top, entry.name, is_directory=is_directory):
                continue
            path = f"{directory}/{entry.name}" if directory else entry.name
            (ahead if is_directory else found).append(path)
    return sorted(start.shown + path for path in found if wanted(start.shown + path))


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8; others cannot be passed to and fro."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
