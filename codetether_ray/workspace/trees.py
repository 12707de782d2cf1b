"""The trees of a run: started, prepared, found again after a crash, and released."""

import asyncio
from collections.abc import Mapping

from codetether_ray.core.errors import ParentsConflictError, WorkspaceError
from codetether_ray.ports.workspace import Tree
from codetether_ray.workspace.commits import is_ancestor, move_ref, resolve
from codetether_ray.workspace.git_command import Git, agent_environment
from codetether_ray.workspace.merging import merge_commits
from codetether_ray.workspace.names import branch_of, ref_of, resolver_name, tree_name
from codetether_ray.workspace.ports import COUNT, PortRanges
from codetether_ray.workspace.prepare import Preparation
from codetether_ray.workspace.records import TreeRecord
from codetether_ray.workspace.release import drop_environment, reason_to_keep
from codetether_ray.workspace.resolving import begin_merge
from codetether_ray.workspace.status import digest_of, read_status
from codetether_ray.workspace.worktrees import Place, Worktrees

_DEPENDENCIES = "Merge what a subtask depends on"


class Trees:
    """Makes `Tree`s of the run `slug`. `prefix` is where in a tree its agent works.

    `environment` goes to all of a tree's processes.
    """

    def __init__(
        self,
        git: Git,
        worktrees: Worktrees,
        *,
        slug: str,
        prefix: str,
        preparation: Preparation,
        ports: PortRanges,
        file_bytes: int,
        hub: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._git = git
        self._worktrees = worktrees
        self._slug = slug
        self._prefix = prefix
        self._preparation = preparation
        self._ports = ports
        self._file_bytes = file_bytes
        self._hub = hub
        self._variables = dict(environment or {})
        self._starting: dict[str, asyncio.Lock] = {}

    async def start(self, id: str, parents: tuple[str, ...]) -> Tree:
        """A prepared worktree for `id` at the merge of `parents`, or the one that is there.

        Raises:
            ParentsConflictError: they conflict in some files.
        """
        name = tree_name(id)
        async with self._starting.setdefault(name, asyncio.Lock()):
            found = self._find(name)
            if found is None:
                base = await self._starting_point(name, parents)
                branch = branch_of(self._slug, name)
                place = await self._worktrees.add(name, branch, base)
                found = place, self._note(place, name, branch, base)
            place, record = found
            if not record.is_ready:
                record = await self._prepare(place, record)
        return self._tree(place, record)

    async def starting_point(self, id: str, parents: tuple[str, ...]) -> str:
        """Where the tree of `id` starts, wherever it will lie.

        Raises:
            ParentsConflictError: `parents` conflict in some files.
        """
        name = tree_name(id)
        async with self._starting.setdefault(name, asyncio.Lock()):
            return await self._starting_point(name, parents)

    def find(self, id: str) -> Tree | None:
        """The tree of `id`, if its files are there."""
        found = self._find(tree_name(id))
        return None if found is None else self._tree(*found)

    async def _starting_point(self, name: str, parents: tuple[str, ...]) -> str:
        """Where a tree starts, kept by a ref; a second attempt starts where the first did."""
        ref = ref_of(self._slug, "start", name)
        known = await resolve(self._git, ref) if len(parents) > 1 else ""
        start = known or await self._merged(parents)
        if known or await move_ref(self._git, ref, start, ""):
            return start
        first = await resolve(self._git, ref)
        branch = f"refs/heads/{branch_of(self._slug, name)}"
        if await resolve(self._git, branch) or not await is_ancestor(self._git, first, start):
            return first
        await move_ref(self._git, ref, start, first)  # cleaned up since, and the work went on
        return await resolve(self._git, ref)

    async def _merged(self, parents: tuple[str, ...]) -> str:
        start = parents[0]
        for parent in parents[1:]:
            outcome = await merge_commits(self._git, start, parent, _DEPENDENCIES)
            if outcome.status == "conflict":
                raise ParentsConflictError(outcome.conflicts)
            start = outcome.commit
        return start

    async def start_merge(self, id: str, ours: str, theirs: str) -> Tree:
        """A worktree at `ours` with `theirs` half merged, or the one that was begun.

        Earlier attempts at other merges keep their names; this one then gets a number.
        """
        async with self._starting.setdefault(resolver_name(id), asyncio.Lock()):
            name, found = await self._resolver(id, theirs)
            if found is not None and found[1].merge is not None:
                return self._tree(*found)
            branch = branch_of(self._slug, name)
            place = found[0] if found else await self._worktrees.add(name, branch, ours)
            record = self._note(place, name, branch, ours)
            git = self._worktrees.git(place)
            merge = await begin_merge(git, ours, theirs, await self._label(id, theirs))
            copied = await self._preparation.bring_copies(self._git.work_tree, place.root)
            return self._tree(place, place.prepared(record, merge=merge, copied=copied))

    async def _resolver(self, id: str, theirs: str) -> tuple[str, tuple[Place, TreeRecord] | None]:
        """A merge's name, and its tree if it was begun; the first that no other merge has."""
        first, number = resolver_name(id), 1
        while True:
            name = first if number == 1 else f"{first}--{number}"
            found = self._find(name)
            if found and (found[1].merge is None or found[1].merge.theirs == theirs):
                return name, found
            ref = f"refs/heads/{branch_of(self._slug, name)}"
            if not found and not await resolve(self._git, ref):
                return name, None
            number += 1

    def of(self, tree: Tree) -> tuple[Git, TreeRecord]:
        """Git on a tree, and what is known of it.

        Raises:
            WorkspaceError: somebody took it away.
        """
        found = self._find(tree.id)
        if found is None:
            raise WorkspaceError(
                f"the worktree of {tree.id} is gone; what was committed is on {tree.branch}"
            )
        place, record = found
        return self._worktrees.git(place), record

    async def release(self, tree: Tree) -> str | None:
        """Remove a worktree that holds nothing of its own; else a sentence why it stays."""
        found = self._find(tree.id)
        if found is None:
            return None
        place, record = found
        git = self._worktrees.git(place)
        reason = await reason_to_keep(git, record, self._file_bytes)
        if reason is None:
            try:
                await drop_environment(git, record)
                await self._worktrees.remove(place)
                self._ports.give_back(place.root, record.port_base)
            except (WorkspaceError, OSError) as error:
                reason = str(error)
        return f"the worktree {place.root} is kept: {reason}" if reason else None

    def _find(self, name: str) -> tuple[Place, TreeRecord] | None:
        place = self._worktrees.find(name)
        record = place.record() if place else None
        return None if place is None or record is None else (place, record)

    def _note(self, place: Place, name: str, branch: str, base: str) -> TreeRecord:
        ports = self._ports.claim(place.root, f"{self._slug}/{name}")
        record = TreeRecord(id=name, branch=branch, base=base, port_base=ports)
        place.write(record)
        return record

    async def _prepare(self, place: Place, record: TreeRecord) -> TreeRecord:
        wanted = self._preparation
        if not wanted.setup and not wanted.copy:
            return place.prepared(record, is_ready=True)
        new = await wanted.bring_copies(self._git.work_tree, place.root)
        record = place.prepared(record, copied=(*record.copied, *new))
        residue: dict[str, str] = {}
        if wanted.setup:
            await wanted.run_setup(place.root, self._environment(place, record))
            status = await read_status(self._worktrees.git(place))
            changed = (c.path.rstrip("/") for c in status.changes)
            residue = {path: digest_of(place.root / path) for path in changed}
        return place.prepared(record, residue=residue, is_ready=True)

    def _environment(self, place: Place, record: TreeRecord) -> dict[str, str]:
        ports = str(record.port_base)
        return {
            **agent_environment(hooks=self._git.hooks),
            **self._variables,
            "GIT_CEILING_DIRECTORIES": str(place.root.parent),
            "CODETETHER_WORKTREE": record.id,
            "CODETETHER_PORT_BASE": ports,
            "CODETETHER_PORT_COUNT": str(COUNT),
            "PORT": ports,
            "COMPOSE_PROJECT_NAME": f"codetether-{self._slug}-{record.id}",
        }

    def _tree(self, place: Place, record: TreeRecord) -> Tree:
        path = place.root
        if record.merge is None and self._prefix:
            path /= self._prefix
            path.mkdir(parents=True, exist_ok=True)
        return Tree(
            id=record.id,
            path=path,
            branch=record.branch,
            base=record.base,
            hub=self._hub,
            env=self._environment(place, record),
        )

    async def _label(self, id: str, theirs: str) -> str:
        """A name for `theirs` that a resolver can read: the subtask's branch, if it is there."""
        branch = branch_of(self._slug, tree_name(id))
        is_there = await resolve(self._git, f"refs/heads/{branch}") == theirs
        return branch if is_there else theirs
