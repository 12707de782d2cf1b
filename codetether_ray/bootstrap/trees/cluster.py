"""The workspace of a run on a cluster: trees on the run's own node as ever, others through nodes.

What an agent elsewhere leaves is in the run's hub before it is told here. A node that is lost
takes nothing with it but what no step had recorded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from codetether_ray.bootstrap.trees import node as there
from codetether_ray.bootstrap.trees.order import (
    Neighbour,
    NodeCalls,
    Order,
    Place,
    Returned,
)
from codetether_ray.bootstrap.trees.sending import bring, receive
from codetether_ray.core import failpoints
from codetether_ray.core.errors import ClusterError, WorkspaceError
from codetether_ray.ports.workspace import Base, Commit, MergeOutcome, Tree, Workspace
from codetether_ray.workspace.commits import changed_paths, commit_tree, tree_of
from codetether_ray.workspace.git import Ground, Start
from codetether_ray.workspace.git_command import shown
from codetether_ray.workspace.keeping import INCOMING
from codetether_ray.workspace.materialize import lay_out, top_of
from codetether_ray.workspace.outpost import OUTGOING
from codetether_ray.workspace.repos import origin_of
from codetether_ray.workspace.transport import present, take_in

_THERE = there.__name__

Recorded = Callable[[str], Awaitable[str]]
"""The commit that the last recorded step of a subtask's agents left; empty for none."""


class GroundedWorkspace(Workspace, Protocol):
    """A workspace in git, as trees of other nodes need it."""

    async def ground(self) -> Ground:
        """What the run stands on."""
        ...

    async def find(self, id: str) -> Tree | None:
        """The tree of that id, if it is there."""
        ...

    async def starting_point(self, id: str, parents: tuple[str, ...] = ()) -> Start:
        """Where a tree begins."""
        ...

    async def take_result(self, name: str, commit: str) -> None:
        """Have a result that is in the hub count."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What trees on other nodes are made with."""

    run_id: str
    home: str
    """The node of the run's hub."""
    reach: Callable[[str], NodeCalls]
    """A node by its id."""
    recorded: Recorded
    room: str
    """Name of the directory of the repository's trees, the same on every node."""
    setup: str = ""
    copy: tuple[str, ...] = ()
    hooks: bool = False


@dataclass(slots=True)
class _Node:
    """A node that the run has trees on."""

    calls: NodeCalls
    lock: asyncio.Lock
    """One pack at a time."""
    is_met: Neighbour | None = None
    brought: set[str] = field(default_factory=set)
    """Commits that are there for this run: they are not asked for again."""


class ClusterWorkspace:
    """Implements `Workspace` over `inner`, the run's workspace on its own node."""

    def __init__(self, inner: GroundedWorkspace, elsewhere: Elsewhere) -> None:
        self._inner = inner
        self._terms = elsewhere
        self._nodes: dict[str, _Node] = {}
        self._subtasks: dict[str, str] = {}
        """Ids of subtasks, by the names of their trees."""
        self._begun = asyncio.Lock()
        self._order: Order | None = None

    async def open(self) -> Base:
        """The run's base; its notes tell what agents on other nodes go without."""
        base = await self._inner.open()
        return replace(base, notes=(*base.notes, *self._notes()))

    def _notes(self) -> tuple[str, ...]:
        notes = ["on other nodes of the cluster agents see no file that git ignores"]
        if self._terms.copy:
            names = ", ".join(self._terms.copy)
            notes.append(
                f"workspace.copy ({names}) is for the run's own node: what it names does not travel"
            )
        if self._terms.hooks:
            notes.append("workspace.hooks: your git hooks are not there on other nodes")
        return tuple(notes)

    # -- trees ------------------------------------------------------------------------------------

    async def ground(self) -> Ground:
        """See `GroundedWorkspace.ground`."""
        return await self._inner.ground()

    async def start(self, id: str, parents: tuple[str, ...] = (), *, node: str = "") -> Tree:
        """A worktree on `node`; see `Workspace.start`.

        Raises:
            ParentsConflictError: the parents conflict in some files.
            WorkspaceError: git refuses, here or there.
            ClusterError: the node is gone.
        """
        if await self._is_home(node):
            return await self._start_at_home(id, parents)
        begins = await self._inner.starting_point(id, parents)
        place = Place(
            id=id,
            branch=begins.branch,
            start=begins.commit,
            tip=begins.tip,
            snapshot=await self._terms.recorded(id),
        )
        tree = await self._made(node, place)
        self._subtasks[tree.id] = id
        return tree

    async def _made(self, node: str, place: Place) -> Tree:
        """A tree on a node, for which its commits go there; again, if what went before is gone."""
        brought = self._node(node).brought
        is_believed = brought.issuperset(place.wanted)
        await self._bring(node, place.wanted)
        failpoints.hit("node.brought")
        try:
            tree: Tree = await self._call(node, "start", place)
        except WorkspaceError:
            if not is_believed:
                raise
            brought.clear()
            await self._bring(node, place.wanted)
            tree = await self._call(node, "start", place)
        return tree

    async def _start_at_home(self, id: str, parents: tuple[str, ...]) -> Tree:
        """A worktree here; one that is new has the files of its agent, if that was elsewhere."""
        is_new = await self._inner.find(id) is None
        tree = await self._inner.start(id, parents)
        snapshot = await self._terms.recorded(id) if is_new else ""
        if snapshot:
            ground = await self._inner.ground()
            top = top_of(tree, ground.repository.prefix)
            await lay_out(top, snapshot, _hub_of(ground) / "objects")
        return tree

    async def commit(self, tree: Tree, message: str) -> Commit:
        """Commit where the tree lies; the result is in the run's hub when this returns.

        Of a tree whose node is lost, what its last recorded step left is committed here.
        """
        if not tree.node:
            return await self._inner.commit(tree, message)
        try:
            returned: Returned = await self._call(tree.node, "commit", tree, message)
            if not returned.commit.is_empty:
                await self._take(tree, returned)
        except ClusterError as error:
            return await self._commit_kept(tree, message, str(error))
        failpoints.hit("node.returned")
        return returned.commit

    async def release(self, tree: Tree, *, keep: bool) -> str | None:
        """Let go of a worktree; one whose node is lost is gone."""
        if not tree.node:
            return await self._inner.release(tree, keep=keep)
        if keep:
            return None
        try:
            said: str | None = await self._call(tree.node, "release", tree)
        except ClusterError:
            return None
        return said

    async def close(self) -> tuple[str, ...]:
        """The run ends: nodes let go of what came for it; trees that stay, by node."""
        left: list[str] = []
        for id, node in self._nodes.items():
            if node.is_met in ("same", None):
                continue
            try:
                left += [f"{id[:12]}: {path}" for path in await self._call(id, "end")]
            except (ClusterError, WorkspaceError) as error:
                left.append(f"{id[:12]}: {error}")
        return tuple(left)

    # -- commits that go and come -----------------------------------------------------------------

    async def _bring(self, id: str, wanted: tuple[str, ...]) -> None:
        """Have commits on a node: what it lacks of them goes there in one pack."""
        ground, node = await self._inner.ground(), self._node(id)
        async with node.lock:
            if not node.brought.issuperset(wanted):
                outgoing = _hub_of(ground) / OUTGOING
                await bring(partial(self._call, id), ground.over, wanted, outgoing)
                node.brought.update(wanted)

    async def _take(self, tree: Tree, returned: Returned) -> None:
        """Have a result that came back in the hub, and on its branch."""
        ground = await self._inner.ground()
        path = await receive(
            partial(self._call, tree.node),
            returned.data,
            returned.box,
            returned.size,
            _hub_of(ground) / INCOMING,
        )
        try:
            await self._settle(ground, path, tree, returned.commit.commit)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _settle(self, ground: Ground, path: Path, tree: Tree, commit: str) -> None:
        have = await present(ground.over, (ground.record.base, tree.base))
        new = await take_in(ground.over, path, (commit,), have)
        if ground.hub is not None:
            await asyncio.to_thread(ground.hub.flush_names, new)
        await self._inner.take_result(tree.id, commit)

    async def _commit_kept(self, tree: Tree, message: str, why: str) -> Commit:
        """A result made here of what the last recorded step left on a node that is lost."""
        ground = await self._inner.ground()
        snapshot = await self._terms.recorded(self._subtasks.get(tree.id, tree.id))
        note = f"the files are those of the last recorded step: {why}"
        tip = (await self._inner.starting_point(tree.id, (tree.base,))).tip
        kept = await tree_of(ground.over, snapshot) if snapshot else ""
        if not kept or kept == await tree_of(ground.over, tip):
            has_work = tip != tree.base
            files = await changed_paths(ground.over, tree.base, tip) if has_work else ()
            return Commit(
                commit=tip,
                tree=await tree_of(ground.over, tip),
                is_empty=not has_work,
                files=shown(files),
                notes=(note,),
            )
        commit = await commit_tree(ground.over, kept, (tip,), message)
        await self._inner.take_result(tree.id, commit)
        files = await changed_paths(ground.over, tree.base, commit)
        return Commit(commit=commit, tree=kept, is_empty=False, files=shown(files), notes=(note,))

    # -- nodes ------------------------------------------------------------------------------------

    async def _is_home(self, id: str) -> bool:
        """Whether trees on a node are made as those on the run's own: they share its files."""
        if id in ("", self._terms.home):
            return True
        node = self._node(id)
        async with node.lock:
            if node.is_met is None:
                token = await self._token()
                node.is_met = await node.calls.call(
                    f"{_THERE}:meet", self._terms.run_id, token, there.this_machine()
                )
        return node.is_met == "same"

    def _node(self, id: str) -> _Node:
        if id not in self._nodes:
            self._nodes[id] = _Node(self._terms.reach(id), asyncio.Lock())
        return self._nodes[id]

    async def _call(self, id: str, function: str, *arguments: Any) -> Any:
        node = self._node(id)
        order = replace(await self._ordered(), apart=node.is_met == "apart")
        return await node.calls.call(f"{_THERE}:{function}", order, *arguments)

    async def _ordered(self) -> Order:
        async with self._begun:
            if self._order is None:
                ground, terms = await self._inner.ground(), self._terms
                self._order = Order(
                    run_id=terms.run_id,
                    record=ground.record,
                    origin=await origin_of(ground.git, ground.repository, ground.record.base),
                    room=terms.room,
                    prefix=ground.repository.prefix,
                    setup=terms.setup,
                )
        return self._order

    async def _token(self) -> str:
        """By which processes that share the hub's files know it."""
        mark = _hub_of(await self._inner.ground()) / there.TOKEN

        def write() -> str:
            if not mark.exists():
                mark.write_text(there.new_token(), "ascii")
            return mark.read_text("ascii")

        return await asyncio.to_thread(write)

    # -- as on one machine ------------------------------------------------------------------------

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        """See `Workspace.merge`."""
        return await self._inner.merge(theirs, message, into=into)

    async def advance(self, commit: str) -> None:
        """See `Workspace.advance`."""
        await self._inner.advance(commit)

    async def start_merge(self, id: str, theirs: str, *, onto: str | None = None) -> Tree:
        """See `Workspace.start_merge`; resolvers work on the run's own node."""
        return await self._inner.start_merge(id, theirs, onto=onto)

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        """See `Workspace.finish_merge`."""
        return await self._inner.finish_merge(tree, theirs, message, onto=onto)

    async def head(self) -> str:
        """See `Workspace.head`."""
        return await self._inner.head()

    async def main_branch(self) -> str:
        """See `Workspace.main_branch`."""
        return await self._inner.main_branch()

    async def diffstat(self) -> str:
        """See `Workspace.diffstat`."""
        return await self._inner.diffstat()

    async def patch(self) -> str:
        """See `Workspace.patch`."""
        return await self._inner.patch()

    async def deliver(self) -> str:
        """See `Workspace.deliver`."""
        return await self._inner.deliver()


def _hub_of(ground: Ground) -> Path:
    if ground.hub is None:
        raise WorkspaceError("a run without a hub has no trees on other nodes")
    return ground.hub.path
