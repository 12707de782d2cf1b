"""Making a fresh worktree buildable: files copied from the user's tree, and a setup command."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.workspace.git_command import shorten


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a project's configuration asks for.

    `copy` are globs below the root of the user's tree (`.env`, `.venv`, `**/*.local`); copies are
    never committed. `setup` is a shell command, run in the worktree.
    """

    setup: str = ""
    copy: tuple[str, ...] = ()
    sandbox: Sandbox | None = None
    timeout_s: float = 900.0

    def __post_init__(self) -> None:
        if self.setup and self.sandbox is None:
            raise ValueError("a setup command needs a sandbox to run in")
        for pattern in self.copy:
            parts = PurePosixPath(pattern)
            if not pattern or parts.is_absolute() or ".." in parts.parts:
                raise WorkspaceError(
                    f"workspace.copy: {pattern!r} leads out of the project; use a path inside it"
                )

    async def bring_copies(self, source: Path, target: Path) -> tuple[str, ...]:
        """Copy what the globs name and the worktree lacks; return the paths, sorted."""
        return await asyncio.to_thread(_copy_all, source, target, self.copy)

    async def run_setup(self, cwd: Path, env: Mapping[str, str]) -> None:
        """Run the setup command, if there is one.

        Raises:
            WorkspaceError: it failed; with the last lines of its output.
        """
        if not self.setup or self.sandbox is None:
            return
        done = await self.sandbox.run(self.setup, cwd=cwd, env=env, timeout_s=self.timeout_s)
        if done.timed_out:
            raise WorkspaceError(f"workspace.setup took longer than {self.timeout_s:g} s")
        if done.exit_code:
            said = shorten(done.output)
            raise WorkspaceError(
                f"workspace.setup `{self.setup}` ended with {done.exit_code}: {said}"
            )


def _copy_all(source: Path, target: Path, globs: tuple[str, ...]) -> tuple[str, ...]:
    found = {place for pattern in globs for place in source.glob(pattern)}
    copied: list[str] = []
    for place in sorted(found):
        relative = place.relative_to(source)
        covered = any(relative.is_relative_to(other) for other in copied)
        if ".git" in relative.parts or covered or _is_there(target / relative):
            continue
        _copy(place, target / relative)
        copied.append(relative.as_posix())
    return tuple(copied)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _copy(place: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.copytree(place, target, symlinks=True)
    else:
        shutil.copy2(place, target, follow_symlinks=False)
