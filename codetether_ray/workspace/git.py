"""The workspace of a run in a git repository.

Every change happens on branches `codetether/<run>/…` and in linked worktrees outside the user's
checkout; the user's branch, index and files are touched by `deliver` alone.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.workspace import Base, Commit, MergeOutcome, Tree
from codetether_ray.workspace.base import find_or_make_base
from codetether_ray.workspace.commits import is_ancestor, move_ref, resolve
from codetether_ray.workspace.delivery import Delivery, is_delivered
from codetether_ray.workspace.git_command import Git, decode_path
from codetether_ray.workspace.hub import Hub
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.merging import MainBranch, merge_commits
from codetether_ray.workspace.names import MAIN, branch_of, ref_of, run_slug, tree_name
from codetether_ray.workspace.outpost import OUTGOING
from codetether_ray.workspace.ports import PortRanges
from codetether_ray.workspace.prepare import Preparation
from codetether_ray.workspace.records import ROOM, RunRecord, run_record_path, write_record
from codetether_ray.workspace.repository import Repository, find_repository
from codetether_ray.workspace.resolving import end_merge
from codetether_ray.workspace.snapshot import Limits
from codetether_ray.workspace.transport import pack, take_in
from codetether_ray.workspace.trees import Trees
from codetether_ray.workspace.work import commit_work
from codetether_ray.workspace.worktrees import Worktrees

_COMMANDS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a run stands on: its repository, its base, its hub."""

    git: Git
    repository: Repository
    record: RunRecord
    hub: Hub | None

    @property
    def over(self) -> Git:
        """Git that finds what is in the hub as well, and writes there."""
        return self.git if self.hub is None else self.hub.over(self.git)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a tree of another node begins: its name, its branch with the tip, its first commit."""

    name: str
    branch: str
    commit: str
    tip: str


@dataclass(slots=True)
class _Opened:
    """What there is once the repository was looked at."""

    git: Git
    repository: Repository
    record: RunRecord
    trees: Trees
    main: MainBranch


class GitWorkspace:
    """The trees of one run; see `ports.workspace` for what is promised.

    `worktrees_dir` belongs to this run. `date` (as git writes dates) fixes the dates of commits.
    `hub` is where the run's hub is, or will be: what agents commit is there before it counts.
    `set_aside` are files that the base has as they were committed, whatever they hold now.
    Any method opens the workspace if nobody has.
    """

    def __init__(
        self,
        directory: Path,
        run_id: str,
        *,
        worktrees_dir: Path,
        setup: str | None = None,
        copy: tuple[str, ...] = (),
        hooks: bool = False,
        sandbox: Sandbox | None = None,
        date: str = "",
        limits: Limits | None = None,
        ports_dir: Path | None = None,
        repository: Repository | None = None,
        hub: Path | None = None,
        set_aside: tuple[Path, ...] = (),
    ) -> None:
        self._directory = directory
        self._set_aside = set_aside
        self._hub = None if hub is None else Hub(hub)
        self._run_id = run_id
        self._slug = run_slug(run_id)
        self._worktrees_dir = worktrees_dir
        self._preparation = Preparation(setup=setup or "", copy=copy, sandbox=sandbox)
        self._limits = replace(limits or Limits(), leave_out=copy)
        self._ports = PortRanges(ports_dir or worktrees_dir.parent / ".ports")
        self._hooks = hooks
        self._date = date
        self._repository = repository
        self._opening = asyncio.Lock()
        self._opened: _Opened | None = None

    async def open(self) -> Base:
        """Look at the directory and make the run's base; a run that goes on has it already."""
        record = (await self._open()).record
        return Base(
            commit=record.base,
            head=record.head,
            branch=record.branch,
            is_snapshot=record.is_snapshot,
            notes=record.notes,
        )

    async def _open(self) -> _Opened:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._look()
        return self._opened

    async def _look(self) -> _Opened:
        repository = self._repository or await find_repository(self._directory)
        if repository is None:
            raise WorkspaceError(f"{self._directory} is not in a git repository")
        aside = tuple(found for p in self._set_aside if (found := _below(repository.root, p)))
        self._limits = replace(self._limits, set_aside=aside)
        git = Git(
            work_tree=repository.root,
            git_dir=repository.git_dir,
            hooks=self._hooks,
            date=self._date,
            gate=asyncio.Semaphore(_COMMANDS_AT_ONCE),
        )
        record = await find_or_make_base(
            git, repository, self._run_id, self._limits, str(self._worktrees_dir)
        )
        await self._open_hub(git, repository, record)
        lock = RepositoryLock(repository.common_dir / ROOM / "worktrees.flock")
        reason = f"codetether run {self._run_id}"
        trees = Trees(
            git,
            Worktrees(git, repository, self._worktrees_dir, lock, reason),
            slug=self._slug,
            prefix=repository.prefix,
            preparation=self._preparation,
            ports=self._ports,
            file_bytes=self._limits.file_bytes,
            hub="" if self._hub is None else str(self._hub.path),
            environment={"CODETETHER_RUN": self._run_id},
        )
        main = MainBranch(git, branch_of(self._slug, MAIN), record.base)
        return _Opened(git=git, repository=repository, record=record, trees=trees, main=main)

    async def _open_hub(self, git: Git, repository: Repository, record: RunRecord) -> None:
        if self._hub is None:
            return
        await self._hub.make(git, repository.common_dir)
        await self._hub.adopt(git, record.base, record.base, self._hub_ref("base"))

    def _hub_ref(self, *names: str) -> str:
        return ref_of(self._run_id, *names)

    async def _keep(self, git: Git, name: str, commit: str, base: str) -> None:
        """Have a result in the hub, which is where it counts."""
        if self._hub is not None:
            await self._hub.adopt(git, commit, base, self._hub_ref("result", name))

    async def start(self, id: str, parents: tuple[str, ...] = (), *, node: str = "") -> Tree:
        """A worktree for agent `id` on its own branch, from the base or the merge of `parents`."""
        here = await self._open()
        return await here.trees.start(id, parents or (here.record.base,))

    # -- trees of other nodes ---------------------------------------------------------------------

    async def ground(self) -> Ground:
        """What a copy of this workspace on another node has to be made from."""
        here = await self._open()
        return Ground(git=here.git, repository=here.repository, record=here.record, hub=self._hub)

    async def starting_point(self, id: str, parents: tuple[str, ...] = ()) -> Start:
        """Where the tree of `id` begins, wherever it will lie; kept by a ref here.

        Raises:
            ParentsConflictError: the parents conflict in some files.
        """
        here = await self._open()
        name = tree_name(id)
        commit = await here.trees.starting_point(id, parents or (here.record.base,))
        branch = branch_of(self._slug, name)
        tip = await resolve(here.git, f"refs/heads/{branch}")
        return Start(name=name, branch=branch, commit=commit, tip=tip or commit)

    async def find(self, id: str) -> Tree | None:
        """The tree of that id, if it is there."""
        return (await self._open()).trees.find(id)

    async def take_result(self, name: str, commit: str) -> None:
        """Have a result, which is in the hub by now, count: there, and on its branch here.

        Raises:
            WorkspaceError: git refuses, or another process moves the branch.
        """
        here = await self._open()
        git, base = here.git, here.record.base
        ref = f"refs/heads/{branch_of(self._slug, name)}"
        if self._hub is not None:
            await asyncio.to_thread(self._hub.name, self._hub_ref("result", name), commit)
            old = await resolve(git, ref)
            parcel = await pack(
                self._hub.over(git), (commit,), (base, old), self._hub.path / OUTGOING
            )
            try:
                await take_in(git, parcel.path, (commit,), (base, old))
            finally:
                await asyncio.to_thread(parcel.drop)
        await self._move_branch(git, ref, commit)

    async def _move_branch(self, git: Git, ref: str, commit: str) -> None:
        """What stood on a branch and does not lead to the result is kept by a ref of its own."""
        old = await resolve(git, ref)
        if old and not await is_ancestor(git, old, commit):
            await move_ref(git, ref_of(self._slug, "old", old), old, "")
        if old != commit and not await move_ref(git, ref, commit, old):
            raise WorkspaceError(f"{ref} moved while its result came in; try again")

    # -- commits and merges -----------------------------------------------------------------------

    async def commit(self, tree: Tree, message: str) -> Commit:
        """Commit all that is there (ignored files left out) on the tree's branch."""
        git, record = (await self._open()).trees.of(tree)
        done = await commit_work(git, record, message, self._limits.file_bytes)
        if not done.is_empty:
            await self._keep(git, record.id, done.commit, record.base)
        return done

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        """Merge commit `theirs` into the run's main branch (or onto commit `into`)."""
        here = await self._open()
        if into is not None:
            return await merge_commits(here.git, into, theirs, message)
        return await here.main.merge(theirs, message)

    async def advance(self, commit: str) -> None:
        """Move the run's main branch on to `commit`, which stands on it."""
        await (await self._open()).main.advance(commit)

    async def start_merge(self, id: str, theirs: str, *, onto: str | None = None) -> Tree:
        """A worktree at the main branch (or `onto`) with `theirs` half merged into it."""
        here = await self._open()
        return await here.trees.start_merge(id, onto or await here.main.head(), theirs)

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        """Commit a resolved merge; `conflict` if markers are left or it was aborted."""
        here = await self._open()
        git, record = here.trees.of(tree)
        merge = record.merge
        if merge is None or merge.theirs != theirs:
            raise WorkspaceError(f"no merge of {theirs[:10]} was begun in {tree.path}")
        outcome = await end_merge(git, record, merge, message, self._limits.file_bytes)
        if outcome.status != "conflict":
            await self._keep(git, record.id, outcome.commit, merge.ours)
        if outcome.status == "conflict" or onto is not None:
            return outcome
        return await here.main.take(outcome, merge.ours, message)

    async def release(self, tree: Tree, *, keep: bool) -> str | None:
        """Remove a worktree that has nothing to lose; else say why it stays."""
        return None if keep else await (await self._open()).trees.release(tree)

    async def head(self) -> str:
        """The commit of the run's main branch (the base if nothing was merged)."""
        return await (await self._open()).main.head()

    async def main_branch(self) -> str:
        """Its name."""
        return branch_of(self._slug, MAIN)

    async def diffstat(self) -> str:
        """`git diff --stat` of base to head; empty if nothing changed."""
        return (await self._diff("--stat=100")).rstrip("\n")

    async def patch(self) -> str:
        """The whole change as a unified diff that `git apply` takes.

        Bytes that are not UTF-8 are surrogate escapes: write it with `errors="surrogateescape"`.
        """
        return await self._diff("--binary", "--full-index", "--no-renames")

    async def _diff(self, *options: str) -> str:
        here = await self._open()
        ends = here.record.base, await here.main.head()
        out = await here.git.run("diff", "--no-ext-diff", "--no-textconv", *options, *ends)
        return decode_path(out.stdout)

    async def deliver(self) -> str:
        """Bring the run's main branch into the user's branch; see `delivery`."""
        here = await self._open()
        main = await here.main.head()
        if here.record.delivered == main or await is_delivered(here.git, main):
            return "there is nothing to merge: the result is already here"
        name = branch_of(self._slug, MAIN)
        delivery = Delivery(
            git=here.git,
            repository=here.repository,
            record=here.record,
            limits=self._limits,
            main=main,
            name=name,
            message=f"Merge the result of {self._run_id}\n\nIts own commits are on {name}.",
        )
        said = await delivery.make()
        here.record = replace(here.record, delivered=main)
        write_record(run_record_path(here.repository.common_dir, self._slug), here.record)
        return said


def _below(root: Path, path: Path) -> str:
    """A file's path from the root; empty where it is not below it."""
    real, top = path.resolve(), root.resolve()
    return real.relative_to(top).as_posix() if real.is_relative_to(top) else ""
