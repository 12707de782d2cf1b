"""A work tree in memory and the snapshots of it, for tests of whatever changes files."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.snapshots import Redone, Snapshot


class MemoryTree:
    """Files by path, and every commit of them: what a hub and a directory come to."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.commits: dict[str, dict[str, str]] = {}

    def commit(self, parent: str) -> str:
        """Keep the files as they are; the same on the same parent is the same commit."""
        text = json.dumps([parent, sorted(self.files.items())])
        name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[name] = dict(self.files)
        return name


class MemorySnapshots:
    """Keeps a `MemoryTree`. `broken` is raised instead of taking; `restored` counts restores.

    Where it compares a change with a copy, the copy's files are real ones below a temporary
    directory.
    """

    def __init__(self, tree: MemoryTree, *, is_own: bool = True) -> None:
        self.tree = tree
        self.broken: WorkspaceError | None = None
        self.restored = 0
        self.taken: list[str] = []
        self._is_own = is_own
        self._last = ""

    @property
    def is_own(self) -> bool:
        """As the test says."""
        return self._is_own

    @property
    def is_there(self) -> bool:
        """A tree in memory is."""
        return True

    async def take(self, note: str) -> Snapshot:
        """Keep the files, after giving way once, as git would."""
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        self.taken.append(note)
        old = self.tree.commits.get(self._last)
        if old == self.tree.files:
            return Snapshot(commit=self._last, tree=_digest(self.tree.files))
        files = _differing(old, self.tree.files) if old is not None else ()
        self._last = self.tree.commit(self._last)
        return Snapshot(commit=self._last, tree=_digest(self.tree.files), files=files)

    async def go_on_from(self, commit: str) -> None:
        """Remember it; it must be there."""
        assert commit in self.tree.commits, commit
        self._last = commit

    async def restore(self) -> tuple[str, ...]:
        """Put the files back."""
        assert self._is_own
        await asyncio.sleep(0)
        self.restored += 1
        kept = self.tree.commits[self._last]
        changed = _differing(kept, self.tree.files)
        self.tree.files = dict(kept)
        return (f"{', '.join(changed)} put aside",) if changed else ()

    async def has_been_done(self, change: Callable[[Path], Awaitable[object]]) -> Redone:
        """Make the change on a copy in real files."""
        before = self.tree.commits[self._last]
        with tempfile.TemporaryDirectory() as scratch:
            for name, text in before.items():
                (Path(scratch) / name).write_text(text, "utf-8")
            await change(Path(scratch))
            after = {p.name: p.read_text("utf-8") for p in Path(scratch).iterdir()}
        planned, found = _differing(before, after), set(_differing(before, self.tree.files))
        if planned and all(self.tree.files.get(p) == after.get(p) for p in planned):
            return "finished"
        return "untouched" if planned and not found.intersection(planned) else "unknown"


def _differing(old: dict[str, str], new: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted(p for p in old.keys() | new.keys() if old.get(p) != new.get(p)))


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha1(json.dumps(sorted(files.items())).encode()).hexdigest()
