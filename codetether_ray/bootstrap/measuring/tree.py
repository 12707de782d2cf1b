"""A clean tree of a commit, where key results are measured.

It is a repository of its own that borrows the run's objects: no worktree of the run is touched,
no agent works in it, and it is simply deleted.
"""

import asyncio
import shutil
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ralph.diff import FileChange, read_diff
from codetether_ray.ralph.rule_files import is_rules_file, ruled
from codetether_ray.workspace.git import Ground
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.prepare import Preparation

_MOST_BYTES = 20_000_000
"""Of a file that is looked into."""


class Grounded(Protocol):
    """A run's workspace that tells what it stands on."""

    async def ground(self) -> Ground:
        """Its repository and hub."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a run's commits are."""

    objects: tuple[Path, ...]
    """Directories of git objects."""
    common_dir: Path
    prefix: str = ""
    """Where in the repository the user's directory is."""
    root: Path | None = None
    """The user's tree, for what is copied from it; None where it is on another machine."""


async def source_of(trees: Grounded) -> Source:
    """Where the commits of a run's workspace are.

    Raises:
        WorkspaceError: git refuses.
    """
    ground = await trees.ground()
    found = ground.repository
    objects: tuple[Path, ...] = (found.common_dir / "objects",)
    if ground.hub is not None:
        objects = (*objects, ground.hub.objects)
    return Source(
        objects=objects, common_dir=found.common_dir, prefix=found.prefix, root=found.root
    )


class CleanTree:
    """One tree, made anew for each commit that is measured."""

    def __init__(self, source: Source, root: Path, preparation: Preparation) -> None:
        self._source, self._root, self._preparation = source, root, preparation
        self._git = Git(work_tree=root, git_dir=root / ".git")
        self._commit = ""

    @property
    def cwd(self) -> Path:
        """Where commands run: the directory that the user started from."""
        return self._root / self._source.prefix

    async def make(self, commit: str) -> None:
        """Check a commit out, where nothing is left of an earlier one; run the setup.

        Raises:
            WorkspaceError: git refuses, or the setup failed.
        """
        await self.remove()
        self._root.mkdir(mode=0o700, parents=True)
        kind = await Git(work_tree=self._root, git_dir=self._source.common_dir).text(
            "rev-parse", "--show-object-format"
        )
        await Git(work_tree=self._root).run(
            "init", "--quiet", "--template=", f"--object-format={kind}", str(self._root)
        )
        await asyncio.to_thread(self._borrow)
        await self._git.run("checkout", "--quiet", "--detach", commit)
        self._commit = commit
        if not self._holds(self.cwd):
            raise WorkspaceError(f"{self._source.prefix} leads out of the tree of {commit[:12]}")
        self.cwd.mkdir(parents=True, exist_ok=True)
        if self._source.root is not None:
            await self._preparation.bring_copies(self._source.root, self._root)
        await self._preparation.run_setup(self.cwd, {})

    async def clean(self) -> None:
        """As `make` left it: what a measurement wrote is gone; of what git ignores, without setup.

        Raises:
            WorkspaceError: git refuses.
        """
        ignored = "" if self._preparation.setup or self._preparation.copy else "x"
        await self._git.run("reset", "--quiet", "--hard", self._commit)
        await self._git.run("clean", "--quiet", f"-ffd{ignored}")

    async def restore(self, paths: tuple[str, ...], approved: str) -> tuple[str, ...]:
        """Put files and directories back as they were in a commit; those that it has.

        What is new and would be taken instead of one of them goes (a GNUmakefile, a package).
        """
        restored, new = [], []
        for path in paths:
            below = (PurePosixPath(self._source.prefix) / path).as_posix()
            found = await self._git.run("cat-file", "-t", f"{approved}:{below}", allow=(0, 128))
            if found.code:
                new.append(path)
                continue
            if found.text == "tree" and self._holds((self._root / below).parent):
                # What was added to it meanwhile does not measure.
                await asyncio.to_thread(shutil.rmtree, self._root / below, ignore_errors=True)
            await self._git.run("checkout", "--quiet", approved, "--", below)
            restored.append(path)
        known = {_purpose(path) for path in restored}
        for path in new:
            if _purpose(path) in known:
                await self._take_away(path.removesuffix("/__main__.py"))
        return tuple(restored)

    async def _take_away(self, path: str) -> None:
        place = self._root / PurePosixPath(self._source.prefix) / path
        if not self._holds(place.parent):
            return
        if place.is_dir() and not place.is_symlink():
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)

    async def rules_as_approved(self, approved: str, but: Container[str] = ()) -> tuple[str, ...]:
        """Put what says how tools measure back as it was in a commit; what was new there goes.

        Files that the directory's own new tests alone would load stay (a `conftest.py` in a
        directory that was not there). `but` are names of files that are themselves measured.

        Returns:
            The paths that were put back or taken away, from the root.
        """
        names = ("diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", approved)
        told = (await self._git.run(*names, self._commit)).stdout.decode("utf-8", "surrogateescape")
        paths = [p for p in told.split("\0") if p and is_rules_file(p) and _name(p) not in but]
        if not paths:
            return ()
        lines = ("diff", "--no-ext-diff", "--no-textconv", "--no-renames", "-U0", approved)
        diff = (await self._git.run(*lines, self._commit, "--", *paths)).stdout
        changes = [c for c in read_diff(diff.decode("utf-8", "replace")) if ruled(c)]
        return tuple([c.path for c in changes if await self._as_it_was(c, approved)])

    async def _as_it_was(self, change: FileChange, approved: str) -> bool:
        place = self._root / change.path
        if change.status != "added":
            await self._git.run("checkout", "--quiet", approved, "--", change.path)
            return True
        above = PurePosixPath(change.path).parent.as_posix()
        was = await self._git.run("cat-file", "-e", f"{approved}:{above}", allow=(0, 1, 128))
        if above != "." and was.code:
            return False
        if self._holds(place.parent):
            place.unlink(missing_ok=True)
        return True

    async def as_approved(self, name: str, approved: str) -> None:
        """Have the files of that name, where commands run and above, as they were in a commit."""
        here = self.cwd
        while here.is_relative_to(self._root):
            below = (here / name).relative_to(self._root).as_posix()
            found = await self._git.run("cat-file", "-e", f"{approved}:{below}", allow=(0, 1, 128))
            if not found.code:
                await self._git.run("checkout", "--quiet", approved, "--", below)
            elif self._holds(here):
                (here / name).unlink(missing_ok=True)
            here = here.parent

    async def diff(self, approved: str) -> str:
        """The change from a commit to the one that is measured."""
        found = await self._git.run("diff", "--no-ext-diff", approved, self._commit)
        return found.stdout.decode("utf-8", "replace")

    def text(self, path: str) -> str | None:
        """The text of a file, of a large one its beginning; None where none is in the tree."""
        found = self.cwd / path
        try:
            if not path or not self._holds(found) or not found.is_file():
                return None
            with found.open("rb") as file:
                return file.read(_MOST_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def has(self, path: str) -> bool:
        """Whether there is a file or directory of that path inside the tree."""
        try:
            return self._holds(self.cwd / path) and (self.cwd / path).exists()
        except (OSError, ValueError):
            return False

    def _holds(self, path: Path) -> bool:
        """Whether a path is inside the tree, whatever symbolic links a commit brought."""
        return path.resolve().is_relative_to(self._root.resolve())

    async def remove(self) -> None:
        """Delete the tree."""
        await asyncio.to_thread(shutil.rmtree, self._root, ignore_errors=True)

    def _borrow(self) -> None:
        git_dir = self._root / ".git"
        (git_dir / "objects" / "info").mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{path.resolve()}\n" for path in self._source.objects)
        (git_dir / "objects" / "info" / "alternates").write_text(lines, "utf-8")
        shallow = self._source.common_dir / "shallow"
        if shallow.exists():
            shutil.copyfile(shallow, git_dir / "shallow")


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _purpose(path: str) -> str:
    """The same for files of which a tool takes the first that it finds."""
    above, _, name = path.removesuffix("/__main__.py").removesuffix(".py").rpartition("/")
    return f"{above}/{name.casefold().removeprefix('gnu') if 'akefile' in name else name}"
