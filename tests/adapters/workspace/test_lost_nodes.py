"""What an agent on another node leaves is in the run's hub step by step: its node may be lost."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.bootstrap.trees import node as there
from codetether_ray.bootstrap.trees.cluster import ClusterWorkspace
from codetether_ray.core.errors import ClusterError, WorkspaceError
from codetether_ray.ports.snapshots import Kept
from codetether_ray.ports.workspace import Tree
from codetether_ray.workspace import snapshots as rooms
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import Hub, hub_path
from codetether_ray.workspace.keeping import HubKeeping
from codetether_ray.workspace.outpost import is_outpost
from codetether_ray.workspace.snapshots import GitSnapshots
from codetether_ray.workspace.transport import PIECE_BYTES
from tests.adapters.workspace.neighbours import Cluster, Link
from tests.adapters.workspace.repos import RUN, Repo, commit_as_agent, git, write

AGENT = "sub/one"


class Scene:
    """One sub-agent's tree on some node, and the hub at home."""

    def __init__(self, run: ClusterWorkspace, cluster: Cluster, hub: Path) -> None:
        self.run = run
        self.cluster = cluster
        self.hub = Hub(hub)
        self.keeping = HubKeeping(hub, RUN)
        self.lives = 0

    async def start(self, node: str) -> Tree:
        return await self.run.start("one", node=node)

    def process(self, tree: Tree, agent: str = AGENT) -> GitSnapshots:
        """Another process of the agent."""
        self.lives += 1
        link = Link(self.keeping, agent, f"{self.lives:016x}")
        return GitSnapshots(
            tree.path,
            Path(tree.hub),
            run_id=RUN,
            agent=agent,
            is_own=agent == AGENT,
            keeper=link if is_outpost(Path(tree.hub)) else None,
        )

    async def step(self, snapshots: GitSnapshots, note: str) -> str:
        """A step's end: kept, then recorded."""
        commit = (await snapshots.take(note)).commit
        self.cluster.recorded["one"] = commit
        return commit

    def lose(self, node: str) -> None:
        """The machine is gone, with its disk."""
        lost = self.cluster.nodes[node]
        lost.is_lost = True
        shutil.rmtree(lost.data_dir)


@pytest.fixture
def scene(repo: Repo, tmp_path: Path, opened: Callable[..., GitWorkspace]) -> Scene:
    cluster, hub = Cluster(tmp_path / "nodes"), hub_path(tmp_path / "data", RUN)
    return Scene(cluster.over(opened(repo.path, hub=hub)), cluster, hub)


async def test_a_step_is_in_the_run_s_hub_when_its_snapshot_is_told(scene: Scene) -> None:
    tree = await scene.start("far")
    agent = scene.process(tree)
    assert await scene.step(agent, "before") == tree.base
    write(tree.path, {"a.txt": "first\n", "new/file.py": "x = 1\n"})
    first = await scene.step(agent, "1")
    write(tree.path, {"a.txt": "second\n"})
    (tree.path / "b.txt").unlink()
    second = await scene.step(agent, "2")
    assert git(scene.hub.path, "rev-list", "--count", f"{tree.base}..{second}") == "2"
    assert git(scene.hub.path, "show", f"{first}:a.txt") == "first"
    assert git(scene.hub.path, "show", f"{second}:new/file.py") == "x = 1"
    ref = f"refs/codetether/{RUN}/sub/one/g1"
    assert scene.hub.read_ref(ref) == second
    assert not list((scene.hub.path / "incoming").iterdir())


async def test_a_lost_node_s_tree_is_made_on_another_as_the_last_step_left_it(
    scene: Scene,
) -> None:
    tree = await scene.start("far")
    agent = scene.process(tree)
    await scene.step(agent, "before")
    write(tree.path, {"a.txt": "kept\n", "sub/dir/new.txt": "kept too\n", "noise.log": "ignored"})
    (tree.path / "b.txt").unlink()
    last = await scene.step(agent, "1")
    write(tree.path, {"a.txt": "never recorded\n"})
    scene.lose("far")

    again = await scene.start("near")
    assert again.path != tree.path
    assert (again.path / "a.txt").read_text() == "kept\n"
    assert (again.path / "sub/dir/new.txt").read_text() == "kept too\n"
    assert not (again.path / "b.txt").exists()
    assert not (again.path / "noise.log").exists()
    assert again.branch == tree.branch

    successor = scene.process(again)
    await successor.go_on_from(last)
    assert await successor.restore() == ()
    write(again.path, {"a.txt": "went on\n"})
    following = await scene.step(successor, "2")
    assert git(scene.hub.path, "rev-parse", f"{following}^") == last
    assert scene.hub.read_ref(f"refs/codetether/{RUN}/sub/one/g1") == last
    assert scene.hub.read_ref(f"refs/codetether/{RUN}/sub/one/g2") == following
    done = await scene.run.commit(again, "one")
    assert done.files == ("a.txt", "b.txt", "sub/dir/new.txt")
    assert (await scene.run.merge(done.commit, "merge one")).status == "merged"


async def test_an_agent_of_a_lost_node_that_comes_home_has_what_its_last_step_left(
    scene: Scene,
) -> None:
    tree = await scene.start("far")
    agent = scene.process(tree)
    await scene.step(agent, "before")
    write(tree.path, {"a.txt": "kept\n", "new.txt": "kept too\n"})
    await scene.step(agent, "1")
    scene.lose("far")
    home = await scene.start("")
    assert home.node == ""
    assert (home.path / "a.txt").read_text() == "kept\n"
    done = await scene.run.commit(home, "one")
    assert done.files == ("a.txt", "new.txt")


async def test_a_tree_goes_from_home_to_a_node_and_back(scene: Scene) -> None:
    tree = await scene.start("")
    agent = scene.process(tree)
    await scene.step(agent, "before")
    write(tree.path, {"a.txt": "at home\n"})
    await scene.step(agent, "1")
    away = await scene.start("far")
    assert (away.path / "a.txt").read_text() == "at home\n"
    agent = scene.process(away)
    await agent.go_on_from(scene.cluster.recorded["one"])
    write(away.path, {"a.txt": "away\n"})
    last = await scene.step(agent, "2")
    back = await scene.start("")
    agent = scene.process(back)
    await agent.go_on_from(last)
    assert await agent.restore() != ()  # what was there is put aside: a.txt of step 1
    assert (back.path / "a.txt").read_text() == "away\n"


async def test_a_tree_that_was_left_for_another_node_is_brought_up_to_date_when_it_is_used_again(
    scene: Scene,
) -> None:
    first = await scene.start("far")
    agent = scene.process(first)
    await scene.step(agent, "before")
    write(first.path, {"a.txt": "1\n"})
    await scene.step(agent, "1")
    write(first.path, {"half.txt": "never recorded"})
    second = await scene.start("near")
    agent = scene.process(second)
    await agent.go_on_from(scene.cluster.recorded["one"])
    write(second.path, {"a.txt": "2\n"})
    await scene.step(agent, "2")
    third = await scene.start("far")
    assert third.path == first.path
    assert (third.path / "a.txt").read_text() == "2\n"
    assert not (third.path / "half.txt").exists()
    left = git(Path(third.hub), "for-each-ref", "--format=%(refname)").splitlines()
    (aside,) = [ref for ref in left if "/left-" in ref]
    assert git(Path(third.hub), "show", f"{aside}:half.txt") == "never recorded"
    # what exists nowhere else is not taken away
    await scene.run.commit(third, "one")
    assert await scene.run.release(third, keep=False) is None
    assert any("left-" in sentence for sentence in await scene.run.close())
    assert Path(third.hub).exists()


async def test_a_child_works_in_its_parent_s_tree_and_its_steps_count_too(scene: Scene) -> None:
    tree = await scene.start("far")
    child = scene.process(tree, "sub/one/1")
    await child.take("before")
    write(tree.path, {"a.txt": "by the child\n"})
    taken = await child.take("1")
    assert scene.hub.read_ref(f"refs/codetether/{RUN}/sub/one/1/g1") == taken.commit


async def test_an_agent_s_own_commits_travel_with_the_next_step(scene: Scene) -> None:
    tree = await scene.start("far")
    write(tree.path, {"a.txt": "committed\n"})
    own = commit_as_agent(tree.path)
    agent = scene.process(tree)
    write(tree.path, {"b.txt": "and more\n"})
    last = await scene.step(agent, "1")
    assert git(scene.hub.path, "rev-parse", f"{last}^") == own
    assert git(scene.hub.path, "show", f"{own}:a.txt") == "committed"


async def test_the_work_of_a_node_that_is_lost_before_its_result_came_is_committed_from_the_hub(
    scene: Scene, repo: Repo
) -> None:
    tree = await scene.start("far")
    agent = scene.process(tree)
    await scene.step(agent, "before")
    write(tree.path, {"a.txt": "kept\n", "new.txt": "new\n"})
    await scene.step(agent, "1")
    scene.lose("far")
    done = await scene.run.commit(tree, "one worked")
    assert (done.files, done.is_empty) == (("a.txt", "new.txt"), False)
    assert "last recorded step" in done.notes[0]
    assert await scene.run.release(tree, keep=False) is None
    assert (await scene.run.merge(done.commit, "merge")).status == "merged"
    assert repo.show(f"{tree.branch}:new.txt") == "new"
    again = await scene.run.commit(tree, "one worked")  # a resume asks again
    assert again.commit == done.commit


async def test_an_agent_that_left_nothing_on_a_lost_node_has_an_empty_result(scene: Scene) -> None:
    tree = await scene.start("far")
    scene.lose("far")
    done = await scene.run.commit(tree, "one")
    assert (done.is_empty, done.commit) == (True, tree.base)
    with pytest.raises(ClusterError):
        await scene.start("far")


async def test_a_pack_that_does_not_arrive_is_no_snapshot(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await scene.start("far")
    agent = scene.process(tree)
    before = await scene.step(agent, "before")
    write(tree.path, {"a.txt": "lost on its way\n"})

    async def refuse(*_: object) -> None:
        raise ClusterError("the run's supervisor is gone")

    with monkeypatch.context() as cut:
        cut.setattr(Link, "keep", refuse)
        with pytest.raises(ClusterError):
            await agent.take("1")
    ref = git(
        Path(tree.hub), "for-each-ref", "--format=%(objectname)", f"refs/codetether/{RUN}/sub"
    )
    assert ref == before
    assert git(scene.hub.path, "for-each-ref", f"refs/codetether/{RUN}/sub") == ""
    assert (await agent.take("1")).commit == scene.hub.read_ref(f"refs/codetether/{RUN}/sub/one/g1")


async def test_a_process_that_was_given_up_moves_no_ref_of_its_successor(scene: Scene) -> None:
    tree = await scene.start("far")
    old, new = scene.process(tree), scene.process(tree)
    await old.take("before")
    await new.take("before")
    write(tree.path, {"a.txt": "1\n"})
    await new.take("1")
    write(tree.path, {"a.txt": "zombie\n"})
    await old.take("1")
    refs = git(scene.hub.path, "for-each-ref", "--format=%(refname:lstrip=-1)").splitlines()
    assert {"g1", "g2"} <= set(refs)
    head = scene.hub.read_ref(f"refs/codetether/{RUN}/sub/one/g1")
    empty = b"PACK" + (2).to_bytes(4) + bytes(4)
    stale = Kept(kind="step", old=tree.base, new=head, data=empty)
    with pytest.raises(WorkspaceError, match="moved"):
        await scene.keeping.keep(AGENT, f"{2:016x}", stale)


async def test_a_large_step_goes_in_pieces(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await scene.start("far")
    agent = scene.process(tree)
    await agent.take("before")
    (tree.path / "big.bin").write_bytes(os.urandom(PIECE_BYTES + 3))

    async def in_pieces(link: Link, kind: str, old: str, new: str, pack: Path) -> None:
        data, hub = pack.read_bytes(), link._hub
        await hub.put(link._life, "00ff00ff", 0, data[:PIECE_BYTES])
        await hub.put(link._life, "00ff00ff", PIECE_BYTES, data[PIECE_BYTES:])
        kept = Kept(kind="step", old=old, new=new, box="00ff00ff")
        await hub.keep(link._agent, link._life, kept)

    monkeypatch.setattr(Link, "keep", in_pieces)
    taken = await agent.take("1")
    assert git(scene.hub.path, "cat-file", "-s", f"{taken.commit}:big.bin") == str(PIECE_BYTES + 3)


async def test_a_node_that_shares_the_home_s_disk_uses_its_very_files(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.run.open()
    scene.cluster.node("beside").data_dir = tmp_path / "data"
    tree = await scene.start("beside")
    assert tree.node == ""
    assert Path(tree.hub) == scene.hub.path
    assert scene.cluster.nodes["beside"].calls == ["meet"]
    # the same disk on another machine: beside the home's things, never among them
    monkeypatch.setattr(there, "this_machine", lambda: "another")
    other = scene.cluster.node("mounted")
    other.data_dir = tmp_path / "data"
    answer = await there.meet(other, RUN, (scene.hub.path / there.TOKEN).read_text(), "this")
    assert answer == "apart"


async def test_a_node_is_asked_once_for_what_all_agents_of_a_run_begin_with(scene: Scene) -> None:
    trees = [await scene.run.start(name, (), node="far") for name in ("one", "two", "three")]
    assert scene.cluster.nodes["far"].calls.count("offer") == 1
    assert len({tree.path for tree in trees}) == len(trees)


async def test_a_clone_that_is_gone_is_made_again_for_the_next_agent(scene: Scene) -> None:
    await scene.start("far")
    far = scene.cluster.nodes["far"]
    shutil.rmtree(far.data_dir)
    far.state.clear()
    tree = await scene.run.start("two", (), node="far")
    assert (tree.path / "a.txt").exists()
    assert far.calls.count("offer") == 2


async def test_at_home_nothing_is_packed_and_nobody_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise AssertionError("a pack at home")

    monkeypatch.setattr(rooms, "pack", refuse)
    tree = await scene.start("")
    agent = scene.process(tree)
    await agent.take("before")
    write(tree.path, {"a.txt": "1\n"})
    await agent.take("1")
    await scene.run.commit(tree, "one")
    assert scene.cluster.nodes == {}
