"""What a node does for runs whose supervisor is elsewhere: it is called here by name.

The node's clone of the repository stands for the user's checkout, a hub of the node's own for the
run's. Both can be lost: what counts is sent home before it is told. Each error names the node.
"""

import asyncio
import math
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from codetether_ray.bootstrap.trees.order import (
    Collected,
    Home,
    Neighbour,
    Offer,
    Order,
    Place,
    Returned,
)
from codetether_ray.config.settings import load_settings
from codetether_ray.core.errors import ConfigError, WorkspaceError
from codetether_ray.ports.workspace import Tree
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.workspace.commits import is_ancestor, move_ref, resolve
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import Hub, hub_path
from codetether_ray.workspace.hub_cleanup import remove_hub
from codetether_ray.workspace.materialize import lay_out, top_of
from codetether_ray.workspace.names import branch_of, ref_of, run_slug, tree_name
from codetether_ray.workspace.open import PORTS, WORKTREES
from codetether_ray.workspace.outpost import HOME_MARK, OUTGOING, came, mark_outpost, sent
from codetether_ray.workspace.records import run_record_path, write_record
from codetether_ray.workspace.repos import LIMIT_BYTES, REPOS, Clones
from codetether_ray.workspace.snapshots import GitSnapshots
from codetether_ray.workspace.transport import PIECE_BYTES, Boxes, pack, present, read_piece

VIEW = "run/base"
"""The tree in which planner and synthesis look around, where the user's checkout is not there."""
_COMING, _OPEN, _LIMIT = "trees.coming", "trees.open", "trees.limit"
_OPENING = "trees.opening"
_SILENCE_S = 60.0
"""After which a pack that another run is sending is not waited for any more."""
_PAUSE_S = 0.1


async def meet(home: Home, run_id: str, token: str, machine: str) -> Neighbour:
    """What this node has of the run's home, whose hub holds `token`."""
    mark = hub_path(home.data_dir, run_id) / TOKEN
    if not mark.exists() or mark.read_text("ascii") != token:
        return "own"
    return "same" if machine == this_machine() else "apart"


TOKEN = "home"
"""Name of a file in a hub, by which the machine that it is on knows it."""


def this_machine() -> str:
    """What processes that share files and process numbers have in common."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{os.uname().nodename} {os.getuid()}"


# -- commits that come ----------------------------------------------------------------------------


async def offer(home: Home, order: Order, wanted: tuple[str, ...]) -> Offer:
    """What is lacking of `wanted`, once nobody else is sending to this clone."""
    async with _told(home):
        coming: dict[str, tuple[str, float]] = home.state.setdefault(_COMING, {})
        clones = _clones(home, order)
        id = order.origin.id
        while True:
            await _quiet(coming, id)
            lacking = await clones.lacking(id, wanted)
            if not lacking:
                await clones.hold(id, order.run_id, wanted)
                return Offer()
            have = await clones.have(id)
            if id not in coming:  # nobody was faster while we looked
                break
        box = secrets.token_hex(8)
        coming[id] = (box, time.monotonic())  # at once: others look meanwhile
        await asyncio.to_thread(_boxes(home, order).put, box, 0, b"")
        return Offer(lacking=lacking, have=have, box=box)


async def put(home: Home, order: Order, box: str, offset: int, data: bytes) -> None:
    """A piece of the pack."""
    async with _told(home):
        home.state.setdefault(_COMING, {})[order.origin.id] = (box, time.monotonic())
        await asyncio.to_thread(_boxes(home, order).put, box, offset, data)


async def take(
    home: Home, order: Order, box: str, digest: str, lacking: tuple[str, ...], all: tuple[str, ...]
) -> None:
    """The pack is whole: it is taken in, and the run holds all that it wanted."""
    clones, id = _clones(home, order), order.origin.id
    home.state.setdefault(_COMING, {})[id] = (box, math.inf)  # however long it takes
    try:
        async with _told(home):
            path = await asyncio.to_thread(_boxes(home, order).close, box, digest)
            try:
                await clones.take(id, order.run_id, path, lacking, order.origin)
                await clones.hold(id, order.run_id, all)
            finally:
                path.unlink(missing_ok=True)
            await clones.tidy()
    finally:
        await give_up(home, order, box)


async def give_up(home: Home, order: Order, box: str) -> None:
    """Nothing more comes into that box."""
    coming: dict[str, tuple[str, float]] = home.state.setdefault(_COMING, {})
    if coming.get(order.origin.id, ("", 0.0))[0] == box:
        del coming[order.origin.id]


async def _quiet(coming: dict[str, tuple[str, float]], id: str) -> None:
    """Wait until no pack is coming into a clone."""
    while id in coming:
        if time.monotonic() - coming[id][1] > _SILENCE_S:
            del coming[id]
            return
        await asyncio.sleep(_PAUSE_S)


# -- trees ----------------------------------------------------------------------------------------


async def start(home: Home, order: Order, place: Place) -> Tree:
    """A prepared worktree, whose commits are here by now; see `Workspace.start`."""
    async with _told(home):
        workspace = await _workspace(home, order)
        found = await workspace.find(place.id)
        if found is None:
            await _lead_branch(home, order, place)
        tree = await workspace.start(place.id, (place.start,))
        hub = Hub(Path(tree.hub))
        if place.snapshot and found is None:
            await lay_out(top_of(tree, order.prefix), place.snapshot)
        elif place.snapshot and not hub.has_loose(place.snapshot):
            await _put_back(tree, order, place)
        return replace(tree, node=home.node)


async def _put_back(tree: Tree, order: Order, place: Place) -> None:
    """The agent was elsewhere since: what is here is old, and kept aside."""
    snapshots = GitSnapshots(
        tree.path, Path(tree.hub), run_id=order.run_id, agent=f"{place.id}/before", is_own=True
    )
    await snapshots.go_on_from(place.snapshot)
    await snapshots.restore()


async def _lead_branch(home: Home, order: Order, place: Place) -> None:
    """Have the tree's branch stand where it does at home."""
    git = _clones(home, order).git(order.origin.id)
    ref = f"refs/heads/{place.branch}"
    old = await resolve(git, ref)
    if old and not await is_ancestor(git, old, place.tip):
        await move_ref(git, ref_of(run_slug(order.run_id), "old", old), old, "")
    if old != place.tip and not await move_ref(git, ref, place.tip, old):
        raise WorkspaceError(f"{place.branch} moved while its tree was made; try again")


async def commit(home: Home, order: Order, tree: Tree, message: str) -> Returned:
    """Commit all that is in a tree; see `Workspace.commit`. Its pack goes with the answer."""
    async with _told(home):
        workspace = await _workspace(home, order)
        done = await workspace.commit(tree, message)
        if done.is_empty:
            return Returned(commit=done)
        ground = await workspace.ground()
        hub = Path(tree.hub)
        have = (*came(ground.repository, order.run_id), *sent(hub))
        parcel = await pack(ground.over, (done.commit,), have, hub / OUTGOING)
        if parcel.size < PIECE_BYTES:
            data = await asyncio.to_thread(read_piece, parcel.path, 0)
            parcel.drop()
            return Returned(commit=done, data=data, size=parcel.size)
        return Returned(commit=done, box=parcel.path.name, size=parcel.size)


async def plant(home: Home, order: Order) -> None:
    """Have this node be the run's home: its clone stands for the user's checkout.

    It stays until the run is forgotten: a resume begins here.
    """
    async with _told(home):
        clones = _clones(home, order)
        path = clones.path(order.origin.id)
        await _plant(clones, order, path)
        (path / HOME_MARK.format(run_slug(order.run_id))).touch()


async def collect(home: Home, repository: str, run_id: str, have: tuple[str, ...]) -> Collected:
    """The branches of a run whose home this node is, with what `have` lacks of them."""
    async with _told(home):
        clones = Clones(home.data_dir)
        git, prefix = clones.git(repository), f"refs/heads/{branch_of(run_slug(run_id), '')}"
        if not clones.path(repository).exists():
            raise WorkspaceError(f"the clone {clones.path(repository)} is gone")
        out = await git.text("for-each-ref", "--format=%(refname) %(objectname)", prefix)
        refs = dict(line.split(" ") for line in out.splitlines())
        refs.pop(f"refs/heads/{branch_of(run_slug(run_id), tree_name(VIEW))}", None)
        folder = hub_path(home.data_dir, run_id) / OUTGOING
        parcel = await pack(git, tuple(refs.values()), await present(git, have), folder)
        if parcel.size < PIECE_BYTES:
            data = await asyncio.to_thread(read_piece, parcel.path, 0)
            parcel.drop()
            return Collected(refs=refs, data=data, size=parcel.size)
        return Collected(refs=refs, box=parcel.path.name, size=parcel.size)


async def settled(home: Home, repository: str, run_id: str) -> None:
    """The run is over and its result is in the user's checkout: its clone may be cleaned."""
    path = Clones(home.data_dir).path(repository)
    (path / HOME_MARK.format(run_slug(run_id))).unlink(missing_ok=True)


async def collected_piece(home: Home, run_id: str, box: str, offset: int) -> bytes:
    """A piece of what `collect` has waiting; with the one behind the last it is taken away."""
    async with _told(home):
        return await asyncio.to_thread(_piece, hub_path(home.data_dir, run_id), box, offset)


async def piece(home: Home, order: Order, box: str, offset: int) -> bytes:
    """A piece of a pack that waits here; with the one behind the last it is taken away."""
    async with _told(home):
        return await asyncio.to_thread(_piece, _hub(home, order).path, box, offset)


def _piece(hub: Path, box: str, offset: int) -> bytes:
    path = hub / OUTGOING / Path(box).name
    data = read_piece(path, offset)
    if not data:
        path.unlink()
    return data


async def release(home: Home, order: Order, tree: Tree) -> str | None:
    """Let go of a worktree that holds nothing of its own; see `Workspace.release`."""
    async with _told(home):
        workspace = await _workspace(home, order)
        said = await workspace.release(tree, keep=False)
        return f"on {home.host}: {said}" if said else None


async def end(home: Home, order: Order) -> tuple[str, ...]:
    """The run is over: its things go, unless a tree is left; which trees are."""
    async with _told(home):
        clones = _clones(home, order)
        path = clones.path(order.origin.id)
        if not path.exists():
            return ()
        folder = _data(home, order) / WORKTREES / order.room / run_slug(order.run_id)
        left = tuple(str(p) for p in sorted(folder.glob("[!.]*"))) if folder.is_dir() else ()
        left += _left_behind(_hub(home, order))
        if not left:
            home.state.get(_OPEN, {}).pop(order.run_id, None)
            home.state.get(_OPENING, {}).pop(order.run_id, None)
            await _drop_run(_data(home, order), clones, order.origin.id, order.run_id)
            if folder.is_dir():
                folder.rmdir()
            await clones.tidy()
        return left


def _left_behind(hub: Hub) -> tuple[str, ...]:
    """What was put aside of trees that their agents had left for another node."""
    return tuple(str(p) for p in sorted(hub.path.glob("refs/codetether/**/before/left-*")))


async def _drop_run(data_dir: Path, clones: Clones, id: str, run_id: str) -> None:
    await remove_hub(data_dir, run_id)
    hub_path(data_dir, run_id).with_suffix(".cleared").unlink(missing_ok=True)
    await clones.forget_run(id, run_id)


# -- what is here ---------------------------------------------------------------------------------


@asynccontextmanager
async def _told(home: Home) -> AsyncIterator[None]:
    """Errors that name the node."""
    try:
        yield
    except WorkspaceError as error:
        if type(error) is not WorkspaceError or str(error).startswith("on "):
            raise
        raise WorkspaceError(f"on {home.host}: {error}") from error
    except OSError as error:
        raise WorkspaceError(f"on {home.host}: {error}") from error


def _data(home: Home, order: Order) -> Path:
    return home.data_dir / "nodes" / home.node[:12] if order.apart else home.data_dir


def _clones(home: Home, order: Order) -> Clones:
    return Clones(_data(home, order), limit_bytes=_limit(home))


def _limit(home: Home) -> int:
    known: int | None = home.state.get(_LIMIT)
    if known is None:
        known = home.state[_LIMIT] = limit_of(home.data_dir)
    return known


def limit_of(data_dir: Path) -> int:
    """What clones may take on this machine, by the settings of its own user."""
    try:
        return load_settings(data_dir, os.environ).workspace.cache_bytes
    except ConfigError:
        return LIMIT_BYTES


def _boxes(home: Home, order: Order) -> Boxes:
    return Boxes(_data(home, order) / REPOS / ".incoming")


def _hub(home: Home, order: Order) -> Hub:
    return Hub(hub_path(_data(home, order), order.run_id))


async def _workspace(home: Home, order: Order) -> GitWorkspace:
    """The run's workspace on this node, opened once in this process."""
    known: dict[str, tuple[Order, GitWorkspace]] = home.state.setdefault(_OPEN, {})
    opening: dict[str, asyncio.Lock] = home.state.setdefault(_OPENING, {})
    async with opening.setdefault(order.run_id, asyncio.Lock()):
        if order.run_id not in known or known[order.run_id][0] != order:
            known[order.run_id] = (order, await _opened(home, order))
        return known[order.run_id][1]


async def _opened(home: Home, order: Order) -> GitWorkspace:
    data, clones = _data(home, order), _clones(home, order)
    repository = clones.repository(order.origin.id, order.prefix)
    if not repository.git_dir.exists():
        raise WorkspaceError(f"the clone {repository.git_dir} is gone")
    worktrees = data / WORKTREES / order.room / run_slug(order.run_id)
    await _plant(clones, order, worktrees)
    hub = hub_path(data, order.run_id)
    made = GitWorkspace(
        repository.root,
        order.run_id,
        worktrees_dir=worktrees,
        setup=order.setup or None,
        sandbox=LocalSandbox(),
        ports_dir=data / PORTS,
        repository=repository,
        hub=hub,
    )
    await made.open()
    mark_outpost(hub)
    return made


async def _plant(clones: Clones, order: Order, worktrees: Path) -> None:
    """Have the run's base in the clone as it is at home."""
    path, slug = clones.path(order.origin.id), run_slug(order.run_id)
    record = run_record_path(path, slug)
    git = clones.git(order.origin.id)
    await git.run("update-ref", ref_of(slug, "base"), order.record.base, durable=True)
    if not record.exists():
        write_record(record, replace(order.record, worktrees=str(worktrees), delivered=""))
    clones.touch(order.origin.id, order.run_id)


def new_token() -> str:
    """For a hub whose node shall be known by it."""
    return secrets.token_hex(16)
