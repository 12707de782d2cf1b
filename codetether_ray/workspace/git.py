"""The workspace of a run in a git repository.

Every change happens on branches `codetether/<run>/…` and in linked worktrees outside the user's
checkout; the user's branch, index and files are touched by `deliver` alone.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from codetether_ray.core.errors import ParentsConflictError, WorkspaceError
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.workspace import Base, Commit, MergeOutcome, Tree
from codetether_ray.workspace.commits import (
    commit_tree,
    is_ancestor,
    merge_trees,
    move_ref,
    resolve,
)
from codetether_ray.workspace.delivery import Delivery, is_delivered
from codetether_ray.workspace.git_command import Git, agent_environment, shown
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.names import (
    MAIN,
    branch_of,
    ref_of,
    resolver_name,
    run_slug,
    tree_name,
)
from codetether_ray.workspace.ports import COUNT, PortRanges
from codetether_ray.workspace.prepare import Preparation
from codetether_ray.workspace.records import (
    ROOM,
    RunRecord,
    TreeRecord,
    read_record,
    run_record_path,
    write_record,
)
from codetether_ray.workspace.repository import Repository, find_repository, notes_on
from codetether_ray.workspace.resolving import begin_merge, end_merge
from codetether_ray.workspace.snapshot import Limits, snapshot
from codetether_ray.workspace.status import digest_of, read_status
from codetether_ray.workspace.work import commit_work, look
from codetether_ray.workspace.worktrees import Place, Worktrees

_MERGE_TRIES = 5
_COMMANDS_AT_ONCE = 8


class GitWorkspace:
    """The trees of one run; see `ports.workspace` for what is promised.

    `worktrees_dir` belongs to this run. `date` (as git writes dates) fixes the dates of commits.
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
    ) -> None:
        self._directory = directory
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
        self._merging = asyncio.Lock()
        self._starting: dict[str, asyncio.Lock] = {}
        self._record: RunRecord | None = None

    # -- the base ---------------------------------------------------------------------------------

    async def open(self) -> Base:
        """Look at the directory and make the run's base; a run that goes on has it already."""
        async with self._opening:
            if self._record is None:
                await self._open()
        record = self._run
        return Base(
            commit=record.base,
            head=record.head,
            branch=record.branch,
            is_snapshot=record.is_snapshot,
            notes=record.notes,
        )

    async def _open(self) -> None:
        repository = self._repository or await find_repository(self._directory)
        if repository is None:
            raise WorkspaceError(f"{self._directory} is not in a git repository")
        self._repository = repository
        self._git = Git(
            work_tree=repository.root,
            git_dir=repository.git_dir,
            hooks=self._hooks,
            date=self._date,
            gate=asyncio.Semaphore(_COMMANDS_AT_ONCE),
        )
        lock = RepositoryLock(repository.common_dir / ROOM / "worktrees.flock")
        reason = f"codetether run {self._run_id}"
        self._trees = Worktrees(self._git, repository, self._worktrees_dir, lock, reason)
        path = run_record_path(repository.common_dir, self._slug)
        record = read_record(RunRecord, path)
        if record is not None and record.run_id != self._run_id:
            raise WorkspaceError(f"{path} belongs to run {record.run_id}, not to {self._run_id}")
        if record is None:
            record = await self._make_base(repository)
            write_record(path, record)
        self._record = record

    async def _make_base(self, repository: Repository) -> RunRecord:
        git = self._git
        async with snapshot(git, repository, self._limits) as now:
            is_head = bool(now.head) and now.tree == await git.text(
                "rev-parse", f"{now.head}^{{tree}}"
            )
            base = now.head
            if not is_head:
                message = f"Uncommitted changes when {self._run_id} began"
                parents = (now.head,) if now.head else ()
                base = await commit_tree(git, now.tree, parents, message)
        ref = ref_of(self._slug, "base")
        if not await move_ref(git, ref, base, await resolve(git, ref)):
            raise WorkspaceError(f"{ref} moved while the run began; try again")
        notes = now.notes
        if not repository.is_private:
            notes = await notes_on(repository, git, is_unborn=not now.head) + notes
        return RunRecord(
            run_id=self._run_id,
            base=base,
            head=now.head,
            branch=now.branch,
            is_snapshot=not is_head,
            notes=notes,
            worktrees=str(self._worktrees_dir),
        )

    @property
    def _run(self) -> RunRecord:
        if self._record is None:
            raise WorkspaceError("the workspace is not open yet")
        return self._record

    # -- trees ------------------------------------------------------------------------------------

    async def start(self, id: str, parents: tuple[str, ...] = ()) -> Tree:
        """A worktree for agent `id` on its own branch, from the base or the merge of `parents`."""
        await self.open()
        name = tree_name(id)
        async with self._starting.setdefault(name, asyncio.Lock()):
            place = self._trees.find(name)
            record = place.record() if place else None
            if place is None or record is None:
                base = await self._remembered_start(name, parents)
                branch = branch_of(self._slug, name)
                place = await self._trees.add(name, branch, base)
                record = self._new_record(place, name, branch, base)
            if not record.is_ready:
                record = await self._prepare(place, record)
        return self._tree(place, record)

    async def _remembered_start(self, name: str, parents: tuple[str, ...]) -> str:
        """Where a tree starts; a second attempt starts where the first did."""
        ref = ref_of(self._slug, "start", name)
        known = await resolve(self._git, ref)
        if known:
            return known
        base = await self._merge_parents(parents) if parents else self._run.base
        await move_ref(self._git, ref, base, "")
        return base

    async def _merge_parents(self, parents: tuple[str, ...]) -> str:
        start = parents[0]
        for parent in parents[1:]:
            outcome = await self.merge(parent, "Merge what a subtask depends on", into=start)
            if outcome.status == "conflict":
                raise ParentsConflictError(outcome.conflicts)
            start = outcome.commit
        return start

    def _new_record(self, place: Place, name: str, branch: str, base: str) -> TreeRecord:
        ports = self._ports.claim(place.root, f"{self._slug}/{name}")
        record = TreeRecord(id=name, branch=branch, base=base, port_base=ports)
        place.write(record)
        return record

    async def _prepare(self, place: Place, record: TreeRecord) -> TreeRecord:
        wanted, source = self._preparation, self._git.work_tree
        copied = record.copied + await wanted.bring_copies(source, place.root)
        record = place.prepared(copied=copied)
        residue: dict[str, str] = {}
        if wanted.setup:
            await wanted.run_setup(place.root, self._environment(place, record))
            status = await read_status(self._trees.git(place))
            changed = (c.path.rstrip("/") for c in status.changes)
            residue = {path: digest_of(place.root / path) for path in changed}
        return place.prepared(residue=residue, is_ready=True)

    def _environment(self, place: Place, record: TreeRecord) -> dict[str, str]:
        ports = str(record.port_base)
        return {
            **agent_environment(),
            "GIT_CEILING_DIRECTORIES": str(place.root.parent),
            "CODETETHER_WORKTREE": record.id,
            "CODETETHER_PORT_BASE": ports,
            "CODETETHER_PORT_COUNT": str(COUNT),
            "PORT": ports,
            "COMPOSE_PROJECT_NAME": f"codetether-{self._slug}-{record.id}",
        }

    def _tree(self, place: Place, record: TreeRecord) -> Tree:
        path = place.root
        if record.merge is None and self._git_prefix:
            path = place.root / self._git_prefix
            path.mkdir(parents=True, exist_ok=True)
        return Tree(
            id=record.id,
            path=path,
            branch=record.branch,
            base=record.base,
            env=self._environment(place, record),
        )

    @property
    def _git_prefix(self) -> str:
        return self._repository.prefix if self._repository else ""

    def _place(self, tree: Tree) -> tuple[Place, TreeRecord]:
        place = self._trees.find(tree.id)
        record = place.record() if place else None
        if place is None or record is None:
            raise WorkspaceError(
                f"the worktree of {tree.id} is gone; what was committed is on {tree.branch}"
            )
        return place, record

    async def commit(self, tree: Tree, message: str) -> Commit:
        """Commit all that is there (ignored files left out) on the tree's branch."""
        await self.open()
        place, record = self._place(tree)
        git = self._trees.git(place)
        return await commit_work(git, record, message, self._limits.file_bytes)

    async def release(self, tree: Tree, *, keep: bool) -> str | None:
        """Remove a worktree that has nothing to lose; else say why it stays."""
        await self.open()
        place = self._trees.find(tree.id)
        if place is None or keep:
            return None
        record = place.record()
        if record is None:
            return f"{place.root} is kept: it is no worktree of this run any more"
        reason = await self._reason_to_keep(place, record)
        if reason is None:
            try:
                await self._remove(place, record)
            except WorkspaceError as error:
                reason = str(error)
        return f"the worktree {place.root} is kept: {reason}" if reason else None

    async def _reason_to_keep(self, place: Place, record: TreeRecord) -> str | None:
        git = self._trees.git(place)
        work = await look(git, record, self._limits.file_bytes)
        if work.left or work.add:
            return f"{', '.join(shown((work.left + work.add)[:3]))} not committed"
        if work.status.branch != record.branch:
            return f"it is not on its branch {record.branch} any more"
        if git.git_dir is not None and (git.git_dir / "MERGE_HEAD").exists():
            return "a merge in it is not finished"
        return None

    async def _remove(self, place: Place, record: TreeRecord) -> None:
        git = self._trees.git(place)
        await _drop_environment(git, record)
        await self._trees.remove(place)
        self._ports.give_back(place.root, record.port_base)

    # -- merges -----------------------------------------------------------------------------------

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        """Merge commit `theirs` into the run's main branch (or onto commit `into`)."""
        await self.open()
        if into is not None:
            return await self._merge(into, theirs, message)
        async with self._merging:
            for _ in range(_MERGE_TRIES):
                old = await self._main()
                outcome = await self._merge(old or self._run.base, theirs, message)
                if outcome.status != "merged" or await self._move_main(outcome.commit, old):
                    return outcome
        raise WorkspaceError(f"{await self.main_branch()} keeps moving: another process merges too")

    async def _merge(self, ours: str, theirs: str, message: str) -> MergeOutcome:
        if await is_ancestor(self._git, theirs, ours):
            return MergeOutcome(status="already", commit=ours)
        tree, conflicts = await merge_trees(self._git, ours, theirs)
        if conflicts:
            return MergeOutcome(status="conflict", conflicts=shown(conflicts))
        commit = await commit_tree(self._git, tree, (ours, theirs), message)
        return MergeOutcome(status="merged", commit=commit)

    async def start_merge(self, id: str, theirs: str, *, onto: str | None = None) -> Tree:
        """A worktree at the main branch (or `onto`) with `theirs` half merged into it."""
        await self.open()
        name = resolver_name(id)
        place = self._trees.find(name)
        record = place.record() if place else None
        if place is not None and record is not None and record.merge is not None:
            return self._tree(place, record)
        ours = onto or await self.head()
        if place is None:
            branch = await self._free_branch(name)
            place = await self._trees.add(name, branch, ours)
        else:
            branch = (await read_status(self._trees.git(place))).branch
        record = self._new_record(place, name, branch, ours)
        merge = await begin_merge(self._trees.git(place), theirs, await self._label(id, theirs))
        return self._tree(place, place.prepared(merge=merge))

    async def _free_branch(self, name: str) -> str:
        """A resolver's branch; an earlier attempt's is not used again."""
        number, branch = 1, branch_of(self._slug, name)
        while await resolve(self._git, f"refs/heads/{branch}"):
            number += 1
            branch = branch_of(self._slug, f"{name}--{number}")
        return branch

    async def _label(self, id: str, theirs: str) -> str:
        """A name for `theirs` that a resolver can read: the subtask's branch, if it is there."""
        branch = branch_of(self._slug, tree_name(id))
        is_there = await resolve(self._git, f"refs/heads/{branch}") == theirs
        return branch if is_there else theirs

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        """Commit a resolved merge; `conflict` if markers are left or it was aborted."""
        await self.open()
        place, record = self._place(tree)
        if record.merge is None or record.merge.theirs != theirs:
            raise WorkspaceError(f"no merge of {theirs[:10]} was begun in {place.root}")
        git = self._trees.git(place)
        outcome = await end_merge(git, record, record.merge, message, self._limits.file_bytes)
        if outcome.status == "conflict" or onto is not None:
            return outcome
        old = await self._main()
        if (old or self._run.base) == record.merge.ours:
            async with self._merging:
                if await self._move_main(outcome.commit, old):
                    return outcome
        return await self.merge(outcome.commit, message)

    async def _main(self) -> str:
        return await resolve(self._git, f"refs/heads/{branch_of(self._slug, MAIN)}")

    async def _move_main(self, new: str, old: str) -> bool:
        return await move_ref(self._git, f"refs/heads/{branch_of(self._slug, MAIN)}", new, old)

    # -- results ----------------------------------------------------------------------------------

    async def head(self) -> str:
        """The commit of the run's main branch (the base if nothing was merged)."""
        await self.open()
        return await self._main() or self._run.base

    async def main_branch(self) -> str:
        """Its name."""
        return branch_of(self._slug, MAIN)

    async def diffstat(self) -> str:
        """`git diff --stat` of base to head; empty if nothing changed."""
        return await self._diff("--stat=100")

    async def patch(self) -> str:
        """The whole change as a unified diff that `git apply` takes."""
        text = await self._diff("--binary", "--full-index", "--no-renames")
        return f"{text}\n" if text else ""

    async def _diff(self, *options: str) -> str:
        head = await self.head()
        return await self._git.text(
            "diff", "--no-ext-diff", "--no-textconv", *options, self._run.base, head
        )

    async def deliver(self) -> str:
        """Bring the run's main branch into the user's branch; see `delivery`."""
        main, name = await self.head(), await self.main_branch()
        record, repository = self._run, self._repository
        if repository is None or record.delivered == main or await is_delivered(self._git, main):
            return "there is nothing to merge: the result is already here"
        delivery = Delivery(
            git=self._git,
            repository=repository,
            record=record,
            limits=self._limits,
            main=main,
            name=name,
            message=f"Merge the result of {self._run_id}\n\nIts own commits are on {name}.",
        )
        said = await delivery.make()
        self._record = replace(record, delivered=main)
        write_record(run_record_path(repository.common_dir, self._slug), self._record)
        return said


async def _drop_environment(git: Git, record: TreeRecord) -> None:
    """Take away copies and what the setup command left, so that git finds the tree clean."""
    await asyncio.to_thread(_delete_copies, git.work_tree, record.copied)
    for change in (await read_status(git)).changes:
        if change.path.rstrip("/") not in record.residue:
            continue
        if change.is_untracked:
            (git.work_tree / change.path).unlink(missing_ok=True)
        else:
            await git.run("checkout", "--quiet", "HEAD", "--", change.path)


def _delete_copies(root: Path, copied: tuple[str, ...]) -> None:
    import shutil  # noqa: PLC0415

    for path in copied:
        place = root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
