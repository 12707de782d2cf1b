"""The trees of one agent, kept in the run's hub step by step, and had again from there.

An index of our own says what changed since the last snapshot; the user's index, HEAD, refs and
files are only read. What a snapshot takes in is what a commit would: ignored files, too large
ones, copies and what a setup command left stay out. Git's own conversions apply (`eol`, `filter`),
so that a tree restored is what a checkout of it is.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.core import failpoints
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.snapshots import Keeper, KeptKind, Redone, Snapshot
from codetether_ray.workspace.git_command import Git, encode_paths, shown
from codetether_ray.workspace.hub import Hub, agent_ref, kept_ref
from codetether_ray.workspace.names import unique
from codetether_ray.workspace.outpost import OUTGOING, came, note_sent
from codetether_ray.workspace.private_index import PrivateIndex
from codetether_ray.workspace.records import TreeRecord
from codetether_ray.workspace.recreate import recreate
from codetether_ray.workspace.repository import Repository, find_repository
from codetether_ray.workspace.snapshot import Limits
from codetether_ray.workspace.status import size_of
from codetether_ray.workspace.transport import pack
from codetether_ray.workspace.tree_changes import differing, entries
from codetether_ray.workspace.work import Work, look
from codetether_ray.workspace.worktrees import Place

_MB = 1_000_000
_TRIES = 3
_LOST = "the trees that were kept of this run are gone; from here on they are kept anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Here:
    """What there is once the place was looked at."""

    git: Git
    repository: Repository
    record: TreeRecord
    index: PrivateIndex
    ref: str
    left: str


@dataclass(slots=True)
class _Last:
    """The snapshot that the next one is a child of, and where our ref stands."""

    commit: str = ""
    tree: str = ""
    ref: str = ""
    is_known: bool = False
    """Whether `tree` was looked up."""


@dataclass(slots=True)
class _Told:
    """Sentences that were said once, and bytes that were kept."""

    notes: set[str] = field(default_factory=set)
    size: int = 0


class _TooMuchError(WorkspaceError):
    """More than may be kept."""


class GitSnapshots:
    """Implements `Snapshots` for an agent that works at `root`, in a git work tree.

    Each process that an agent lives in has a ref and an index of its own (`g1`, `g2` …), so that
    one that was given up and wakes moves nothing that its successor needs.
    """

    def __init__(
        self,
        root: Path,
        hub: Path,
        *,
        run_id: str,
        agent: str,
        is_own: bool = False,
        limits: Limits | None = None,
        home: Path | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """`keeper` is given where the run's hub is on another node, and `hub` is of this node."""
        self._root = root
        self._hub = Hub(hub)
        self._run_id = run_id
        self._agent = agent
        self._is_own = is_own
        self._limits = limits or Limits()
        self._home = home
        self._keeper = keeper
        self._sent: dict[KeptKind, str] = {}
        self._here: _Here | None = None
        self._last = _Last()
        self._told = _Told()
        self._is_nowhere = False
        self._is_lost = False
        """The last snapshot is gone: `cleanup` takes those of a finished run away."""

    @property
    def is_own(self) -> bool:
        """Whether the tree is this agent's alone."""
        return self._is_own

    @property
    def is_there(self) -> bool:
        """Whether the workspace is there at all."""
        return self._root.is_dir()

    async def take(self, note: str) -> Snapshot:
        """The tree now, flushed to the hub; see the port."""
        here = await self._look()
        if here is None:
            return Snapshot()
        tree, notes = await self._write_tree(here)
        if self._is_lost:
            notes = (*notes, _LOST)
        if tree == self._last.tree:
            return Snapshot(commit=self._last.commit, tree=tree, notes=self._new(notes))
        old = self._last.tree
        files = await self._secure(here, tree)
        commit = await asyncio.to_thread(self._write_commit, tree, note)
        await self._send(here, "step", commit)
        await asyncio.to_thread(self._name, here, commit)
        self._last = _Last(commit=commit, tree=tree, ref=commit, is_known=True)
        told = shown(files) if old else ()
        return Snapshot(commit=commit, tree=tree, files=told, notes=self._new(notes))

    async def go_on_from(self, commit: str) -> None:
        """Say which snapshot the agent's history ends with."""
        self._last = _Last(commit=commit, ref=self._last.ref)

    async def restore(self) -> tuple[str, ...]:
        """Put the files to what the last snapshot holds; see the port."""
        if not self._is_own:
            raise WorkspaceError(f"{self._root} is not the agent's own; its files stay as they are")
        notes: tuple[str, ...] = ()
        is_new = not self.is_there
        if is_new:
            notes = await asyncio.to_thread(recreate, self._hub.common_dir(), self._root)
        here = await self._look()
        if here is None or not self._last.commit:
            return notes
        if is_new:
            await asyncio.to_thread(here.index.forget)
        else:
            found, _ = await self._write_tree(here)
            if found == self._last.tree:
                return notes
            notes = await self._keep_aside(here, found)
        await here.git.run("read-tree", "--reset", "-u", self._last.tree, index=here.index.path)
        here.index.tree = self._last.tree
        self._root.mkdir(parents=True, exist_ok=True)
        return notes

    async def has_been_done(self, change: Callable[[Path], Awaitable[object]]) -> Redone:
        """Make the change again on a copy of the last snapshot, and compare; see the port."""
        here = await self._look()
        if here is None or not self._last.commit or self._is_lost:
            raise WorkspaceError(f"nothing is kept of {self._root}")
        now, _ = await self._write_tree(here)
        before = self._last.tree
        planned = await differing(here.git, before, await self._redone(here, change))
        found = await differing(here.git, before, now)
        if not planned:
            return "unknown"
        if all(found.get(path) == entry for path, entry in planned.items()):
            return "finished"
        return "unknown" if any(path in found for path in planned) else "untouched"

    # -- the place --------------------------------------------------------------------------------

    async def _look(self) -> _Here | None:
        """Find the work tree, once; None where no trees are kept.

        Raises:
            WorkspaceError: it is a home directory, or git refuses.
        """
        if self._is_nowhere:
            return None
        if self._here is None:
            repository = await find_repository(self._root)
            if repository is None:
                if self._last.commit:
                    raise WorkspaceError(f"{self._root} is in no git repository any more")
                self._is_nowhere = True
                return None
            self._here = await self._settle(repository)
        if not self._last.is_known:
            await self._know_last(self._here)
        return self._here

    async def _settle(self, repository: Repository) -> _Here:
        root = repository.root
        if root in ((self._home or Path.home()).resolve(), Path(root.anchor)):
            raise WorkspaceError(f"{root} is no project: the files of a home are not kept")
        plain = Git(work_tree=root, git_dir=repository.git_dir)
        await self._hub.make(plain, repository.common_dir)
        index = await asyncio.to_thread(self._reserve, repository.git_dir / "index")
        git = self._hub.over(plain)
        refreshes = ("GIT_OPTIONAL_LOCKS", "1")  # the index is our own, whoever works here
        git = replace(git, env=(*git.env, refreshes))
        record = Place(root, repository.git_dir).record()
        return _Here(
            git=git,
            repository=repository,
            record=record or TreeRecord(id="", branch="", base=""),
            index=index,
            ref=agent_ref(self._run_id, self._agent, index.name),
            left=agent_ref(self._run_id, self._agent, f"left-{index.name}"),
        )

    def _reserve(self, real: Path) -> PrivateIndex:
        """An index of a name that no process has had, those on other nodes counted in."""
        while True:
            index = PrivateIndex.reserve(self._hub.path, self._agent, real)
            if not self._hub.read_ref(agent_ref(self._run_id, self._agent, index.name)):
                return index

    async def _know_last(self, here: _Here) -> None:
        """Look up the tree of the snapshot that is gone on from, or of HEAD."""
        name = self._last.commit or "HEAD"
        out = await here.git.run(
            "rev-parse", f"{name}^{{commit}}", f"{name}^{{tree}}",
            allow=(0, 1, 128),
        )  # fmt: skip
        if out.code == 0:
            commit, tree = out.text.split("\n")
            if not (self._last.commit or self._is_own):
                await self._keep_base(here, commit)
            await asyncio.to_thread(self._hub.move_ref, here.ref, commit, self._last.ref)
            self._last = _Last(commit=commit, tree=tree, ref=commit, is_known=True)
        elif not self._last.commit:
            self._last.is_known = True  # a repository without a commit
        elif self._is_own:
            raise WorkspaceError(f"the tree {name[:10]} is not in {self._hub.path}")
        else:
            self._is_lost, self._last = True, _Last(ref=self._last.ref)
            await self._know_last(here)

    async def _keep_base(self, here: _Here, commit: str) -> None:
        """Keep alive what the first snapshot stands on, whatever becomes of the user's branch.

        Its objects are the user's and not copied; a worktree of ours stands on a branch of ours.
        """
        ref = kept_ref(self._run_id, commit)
        await here.git.run("update-ref", ref, commit, durable=True, allow=(0, 1, 128))

    # -- writing ----------------------------------------------------------------------------------

    async def _write_tree(self, here: _Here) -> tuple[str, tuple[str, ...]]:
        """The tree of the files as they are, its objects in the hub; and what was left out."""
        for attempt in range(_TRIES):
            try:
                return await self._try_to_write(here)
            except _TooMuchError:
                raise
            except WorkspaceError:  # files come and go
                if attempt == _TRIES - 1:
                    raise
                if attempt == _TRIES - 2:  # a loss of power may have cut the index off
                    await asyncio.to_thread(here.index.renew)
        raise AssertionError("unreachable")

    async def _try_to_write(self, here: _Here) -> tuple[str, tuple[str, ...]]:
        index = here.index
        work = await look(here.git, here.record, self._limits.file_bytes, index=index.path)
        work = replace(work, add=tuple(path for path in work.add if not self._is_data(here, path)))
        notes = tuple(note.replace("was not committed", "is not kept") for note in work.notes)
        if not index.tree and not work.status.changes and work.status.head == self._last.commit:
            index.tree = self._last.tree
        if index.tree and not work.add:
            return index.tree, notes
        self._weigh(here, work)
        if work.add:
            await here.git.run(
                "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul",
                stdin=encode_paths(work.add), index=index.path, durable=True,
            )  # fmt: skip
        out = await here.git.run("write-tree", index=index.path, durable=True)
        index.tree = out.text
        return out.text, notes

    def _is_data(self, here: _Here, path: str) -> bool:
        """Whether a path belongs to the program's own data, which somebody keeps in the tree."""
        root, data = here.repository.root, self._hub.path.parent.parent
        return data.is_relative_to(root) and (root / path).is_relative_to(data)

    def _weigh(self, here: _Here, work: Work) -> None:
        size = sum(size_of(here.repository.root / path) for path in work.add)
        if self._told.size + size > self._limits.total_bytes:
            raise _TooMuchError(
                f"the trees of {self._agent} come to more than the "
                f"{self._limits.total_bytes / _MB:,.0f} MB that a run may keep of it; "
                "list what need not be kept in .gitignore"
            )
        self._told.size += size

    async def _secure(self, here: _Here, tree: str) -> tuple[str, ...]:
        """Bring all that is new in a tree into the hub, flushed; the paths that differ."""
        changed = (
            await differing(here.git, self._last.tree, tree, trees=True)
            if self._last.tree
            else await entries(here.git, tree)
        )
        oids = {e.oid for e in changed.values() if e.is_kept} | {tree}
        missing = await asyncio.to_thread(self._hub.lacks, oids)
        if missing:
            await self._hub.pack(here.git, "".join(f"{oid}\n" for oid in missing).encode())
        await asyncio.to_thread(self._hub.flush_names, oids - set(missing))
        failpoints.hit("snapshot.objects")
        return tuple(path for path, entry in changed.items() if not entry.is_tree)

    def _write_commit(self, tree: str, note: str) -> str:
        parents = (self._last.commit,) if self._last.commit else ()
        return self._hub.commit(tree, parents, self._message(note))

    def _name(self, here: _Here, commit: str) -> None:
        if not self._hub.move_ref(here.ref, commit, self._last.ref):
            raise WorkspaceError(f"{here.ref} in {self._hub.path} was moved by somebody else")
        failpoints.hit("snapshot.ref")

    async def _send(self, here: _Here, kind: KeptKind, commit: str) -> None:
        """Have a commit in the run's hub, where that is elsewhere, before it counts here.

        What came to this node from there is not sent back; nor what was kept before.
        """
        if self._keeper is None:
            return
        have = (*self._sent.values(), *await asyncio.to_thread(came, here.repository, self._run_id))
        parcel = await pack(here.git, (commit,), have, self._hub.path / OUTGOING)
        try:
            await self._keeper.keep(kind, self._sent.get(kind, ""), commit, parcel.path)
        finally:
            await asyncio.to_thread(parcel.drop)
        self._sent[kind] = commit
        await asyncio.to_thread(note_sent, self._hub.path, here.index.name, self._agent, commit)

    def _message(self, note: str) -> str:
        return (
            f"{self._agent}: {note}\n\nCodetether-Run: {self._run_id}\n"
            f"Codetether-Agent: {self._agent}\nCodetether-Step: {note}"
        )

    def _new(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        """Those that were not said before."""
        new = tuple(note for note in notes if note not in self._told.notes)
        self._told.notes.update(new)
        return new

    # -- reading ----------------------------------------------------------------------------------

    async def _keep_aside(self, here: _Here, found: str) -> tuple[str, ...]:
        """Keep a tree that is to be left, on a ref of its own."""
        files = await self._secure(here, found)

        message = self._message("left by a step that was cut off")
        commit = await asyncio.to_thread(self._hub.commit, found, (self._last.commit,), message)
        await self._send(here, "left", commit)
        old = await asyncio.to_thread(self._hub.read_ref, here.left)
        await asyncio.to_thread(self._hub.move_ref, here.left, commit, old)
        names = ", ".join(shown(files[:3])) + (f" and {len(files) - 3} more" * (len(files) > 3))
        here.index.tree = ""
        return (f"{self._root} was put back to its last step; {names} kept as {here.left}",)

    async def _redone(self, here: _Here, change: Callable[[Path], Awaitable[object]]) -> str:
        """The tree that a change makes of the last snapshot, in a place that is thrown away."""
        prefix = f"scratch-{unique(self._agent)}."
        for left in self._hub.path.glob(f"{prefix}*"):  # of a process that was killed
            await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(dir=self._hub.path, prefix=prefix))
        try:
            files, index = scratch / "files", scratch / "index"
            files.mkdir()
            git = here.git.at(files, here.repository.git_dir)
            await git.run("read-tree", "--reset", "-u", self._last.tree, index=index)
            place = files / here.repository.prefix
            place.mkdir(parents=True, exist_ok=True)
            await change(place)
            await git.run("add", "--all", index=index)
            return (await git.run("write-tree", index=index)).text
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
