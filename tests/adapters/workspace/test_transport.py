"""Commits that travel to a node: whole or not at all, once, and in small pieces."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.core.errors import ClusterError, WorkspaceError
from codetether_ray.workspace import repos
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.hub import hub_path
from codetether_ray.workspace.repos import Clones, Origin, origin_of
from codetether_ray.workspace.repository import find_repository
from codetether_ray.workspace.transport import PIECE_BYTES, Boxes, pack, send, take_in
from tests.adapters.workspace.neighbours import Cluster, FakeNode
from tests.adapters.workspace.repos import RUN, Repo, git

OTHER = "swm_0mabc12346_beefdead"
KB = 1_000


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "nodes")


@pytest.fixture
def on(
    cluster: Cluster, tmp_path: Path, opened: Callable[..., GitWorkspace]
) -> Callable[..., object]:
    """A run on a repository, with its trees on the cluster's nodes."""

    def make(repo: Repo, run: str = RUN, **terms: object) -> object:
        inner = opened(repo.path, run, hub=hub_path(tmp_path / "data", run))
        return cluster.over(inner, run, **terms)

    return make


def noise(path: Path, size: int) -> None:
    path.write_bytes(os.urandom(size))


async def test_a_second_tree_and_a_second_run_move_only_what_is_new(
    repo: Repo, cluster: Cluster, on
) -> None:
    noise(repo.path / "big.bin", 400 * KB)
    repo.commit({})
    first = on(repo)
    await first.start("one", node="far")
    node = cluster.nodes["far"]
    assert node.received > 400 * KB
    node.received = 0
    await first.start("two", node="far")
    assert node.received == 0
    await first.close()
    repo.commit({"a.txt": "another line\n"})
    await on(repo, OTHER).start("one", node="far")
    assert 0 < node.received < 2 * KB


async def test_two_runs_that_begin_at_once_send_one_pack(repo: Repo, cluster: Cluster, on) -> None:
    noise(repo.path / "big.bin", 400 * KB)
    repo.commit({})
    runs = on(repo), on(repo, OTHER)
    trees = await asyncio.gather(
        *(run.start(f"t{n}", node="far") for run in runs for n in range(3))
    )
    assert len({tree.path for tree in trees}) == 6
    assert cluster.nodes["far"].received < 500 * KB


async def test_a_large_repository_goes_in_pieces(repo: Repo, cluster: Cluster, on) -> None:
    noise(repo.path / "big.bin", 2 * PIECE_BYTES + 5)
    tree = await on(repo).start("one", node="far")  # it is uncommitted: in the snapshot commit
    assert (tree.path / "big.bin").read_bytes() == (repo.path / "big.bin").read_bytes()
    node = cluster.nodes["far"]
    assert node.calls.count("put") >= 3
    assert node.largest <= PIECE_BYTES


async def test_a_result_of_many_megabytes_comes_back_in_pieces(
    repo: Repo, cluster: Cluster, on
) -> None:
    run = on(repo)
    tree = await run.start("one", node="far")
    noise(tree.path / "made.bin", PIECE_BYTES + 7)
    done = await run.commit(tree, "made")
    assert done.files == ("made.bin",)
    assert cluster.nodes["far"].calls.count("piece") >= 3
    shown = git(repo.path, "cat-file", "-s", f"{done.commit}:made.bin")
    assert int(shown) == PIECE_BYTES + 7


async def test_a_sender_cut_off_in_the_middle_leaves_nothing_half(
    repo: Repo, cluster: Cluster, on
) -> None:
    noise(repo.path / "big.bin", 2 * PIECE_BYTES)
    repo.commit({})
    node = cluster.node("far")
    node.breaks_after = 1
    run = on(repo)
    with pytest.raises(ClusterError):
        await run.start("one", node="far")
    clones = Clones(node.data_dir)
    assert clones.all() == ()
    node.breaks_after = -1
    tree = await run.start("one", node="far")
    assert (tree.path / "big.bin").stat().st_size == 2 * PIECE_BYTES


async def test_a_damaged_pack_is_refused_and_sent_again(repo: Repo, cluster: Cluster, on) -> None:
    class Damaging(FakeNode):
        is_first = True

        async def call(self, function: str, *arguments: object) -> object:
            if function.endswith(":put") and self.is_first:
                self.is_first = False
                data = bytearray(arguments[-1])  # type: ignore[arg-type]
                data[len(data) // 2] ^= 1
                arguments = (*arguments[:-1], bytes(data))
            return await super().call(function, *arguments)

    cluster.nodes["far"] = Damaging("far", cluster.node("other").data_dir)
    tree = await on(repo).start("one", node="far")
    assert (tree.path / "a.txt").read_text() == (repo.path / "a.txt").read_text()
    assert cluster.nodes["far"].calls.count("take") == 2


async def test_what_lacks_an_object_is_refused_and_no_ref_names_it(
    repo: Repo, tmp_path: Path
) -> None:
    old, new = git(repo.path, "rev-parse", "HEAD"), repo.commit({"a.txt": "new\n"})
    source = Git(work_tree=repo.path)
    parcel = await pack(source, (new,), (old,), tmp_path / "out")
    clones = Clones(tmp_path / "data")
    with pytest.raises(WorkspaceError, match=r"not complete|unresolved|bad object|unpack"):
        await clones.take("a1", RUN, parcel.path, (new,), Origin(id="a1"))
    assert await clones.lacking("a1", (new,)) == (new,)
    assert git(clones.path("a1"), "for-each-ref") == ""


async def test_a_commit_without_its_files_counts_as_lacking(repo: Repo, tmp_path: Path) -> None:
    """A killed `unpack-objects` leaves such."""
    head = git(repo.path, "rev-parse", "HEAD")
    clones = Clones(tmp_path / "data")
    parcel = await pack(Git(work_tree=repo.path), (head,), (), tmp_path / "out")
    await clones.take("a1", RUN, parcel.path, (head,), Origin(id="a1"))
    new = repo.commit({"a.txt": "new\n"})
    loose = Path("objects") / new[:2] / new[2:]
    target = clones.path("a1") / loose
    target.parent.mkdir(exist_ok=True)
    target.write_bytes((repo.path / ".git" / loose).read_bytes())
    assert await clones.lacking("a1", (head, new)) == (new,)


async def test_a_box_takes_a_piece_that_comes_twice_and_refuses_one_that_comes_early(
    tmp_path: Path,
) -> None:
    boxes = Boxes(tmp_path)
    name = boxes.new()
    boxes.put(name, 0, b"abc")
    boxes.put(name, 0, b"abc")
    boxes.put(name, 3, b"de")
    with pytest.raises(WorkspaceError, match="missing"):
        boxes.put(name, 9, b"x")
    assert boxes.path(name).read_bytes() == b"abcde"
    with pytest.raises(WorkspaceError, match="names no box"):
        boxes.put("../away", 0, b"x")


async def test_repositories_are_told_apart_by_their_history_not_their_place(
    repo: Repo, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(repo.path), str(tmp_path / "elsewhere"))
    clone = Repo.at(tmp_path / "elsewhere")
    other = Repo(tmp_path / "other")
    other.commit({"x": "y"})

    async def id_of(path: Path) -> str:
        found = await find_repository(path)
        assert found is not None
        return (await origin_of(Git(work_tree=path), found, git(path, "rev-parse", "HEAD"))).id

    here = await id_of(repo.path)
    clone.commit({"a.txt": "more\n"})
    assert await id_of(clone.path) == here
    assert await id_of(other.path) != here


@pytest.mark.parametrize("kind", ["shallow", "sha256"])
async def test_unusual_repositories_travel(
    kind: str, repo: Repo, tmp_path: Path, cluster: Cluster, on
) -> None:
    if kind == "shallow":
        repo.commit({"a.txt": "2\n"})
        git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo.path}", str(tmp_path / "made"))
    else:
        git(tmp_path, "init", "-q", "--object-format=sha256", "-b", "trunk", "made")
    made = Repo.at(tmp_path / "made")
    made.commit({"a.txt": "3\n", "b.txt": "b\n"})
    run = on(made)
    tree = await run.start("one", node="far")
    (tree.path / "a.txt").write_text("4\n")
    done = await run.commit(tree, "four")
    assert (await run.merge(done.commit, "merge")).status == "merged"
    assert git(made.path, "show", f"{await run.head()}:a.txt") == "4"


# -- keeping house --------------------------------------------------------------------------------


async def test_clones_are_bounded_the_oldest_go_first_and_none_that_is_used(
    tmp_path: Path, on, cluster: Cluster
) -> None:
    runs = []
    for n in range(3):
        made = Repo(tmp_path / f"r{n}")
        noise(made.path / "big.bin", 300 * KB)
        made.commit({})
        run = on(made, f"swm_0mabc1234{n}_deadbee{n}")
        runs.append((run, await run.start("one", node="far")))
    node = cluster.nodes["far"]
    clones = Clones(node.data_dir, limit_bytes=700 * KB)
    assert await clones.tidy() == ()  # somebody works in each
    for run, tree in runs[:2]:
        assert await run.release(tree, keep=False) is None
        assert await run.close() == ()
    for age, clone in enumerate(sorted(clones.all(), key=lambda c: c.used_at)):
        os.utime(clone.path / "codetether" / "used", (1_000 + age, 1_000 + age))
    used = next(c for c in clones.all() if c.is_used)
    os.utime(used.path / "codetether" / "used", (1, 1))  # the oldest of all
    gone = await clones.tidy()
    assert [c.used_at for c in gone] == [1_000 if gone[0].used_at == 1_000 else 1_001]
    assert used.id in {c.id for c in clones.all()}
    assert len(clones.all()) == 2


async def test_a_run_that_ended_leaves_its_base_alone_on_a_node(
    repo: Repo, cluster: Cluster, on
) -> None:
    run = on(repo)
    base = (await run.open()).commit
    tree = await run.start("one", node="far")
    (tree.path / "a.txt").write_text("changed\n")
    await run.commit(tree, "one")
    assert await run.release(tree, keep=False) is None
    assert await run.close() == ()
    node = cluster.nodes["far"]
    (clone,) = Clones(node.data_dir).all()
    assert not clone.is_used
    refs = git(clone.path, "for-each-ref", "--format=%(objectname)").split()
    assert refs == [base]
    assert not hub_path(node.data_dir, RUN).exists()
    assert not list((node.data_dir / "worktrees").rglob("*.txt"))


async def test_a_tree_with_work_in_it_stays_on_its_node_and_is_told(
    repo: Repo, cluster: Cluster, on
) -> None:
    run = on(repo)
    tree = await run.start("one", node="far")
    (tree.path / "precious.txt").write_text("mine")
    said = await run.release(tree, keep=False)
    assert said is not None
    assert "far" in said
    (left,) = await run.close()
    assert str(tree.path) in left
    assert (tree.path / "precious.txt").read_text() == "mine"
    assert Clones(cluster.nodes["far"].data_dir).all()[0].is_used


async def test_many_packs_become_one_while_nobody_works(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repos, "_PACKS", 3)
    clones, old = Clones(tmp_path / "data"), ""
    for n in range(4):
        head = repo.commit({f"d{n}/{k}": f"{n} {k}" for k in range(110)})
        parcel = await pack(Git(work_tree=repo.path), (head,), (old,), tmp_path / "out")
        await clones.take("a1", RUN, parcel.path, (head,), Origin(id="a1"))
        old = head
    packs = clones.path("a1") / "objects" / "pack"
    assert await clones.tidy() == ()
    assert len(list(packs.glob("*.pack"))) == 4  # the run is live
    git(clones.path("a1"), "update-ref", "refs/codetether/swm-deadbeef/base", old)
    await clones.forget_run("a1", RUN)
    await clones.tidy()
    assert len(list(packs.glob("*.pack"))) == 1
    assert await clones.lacking("a1", (old,)) == ()


async def test_a_pack_arrives_whole_by_pieces(repo: Repo, tmp_path: Path) -> None:
    noise(repo.path / "big.bin", 50 * KB)
    head = repo.commit({})
    parcel = await pack(Git(work_tree=repo.path), (head,), (), tmp_path / "out")
    boxes = Boxes(tmp_path / "in")
    name = boxes.new()

    async def put(offset: int, data: bytes) -> None:
        boxes.put(name, offset, data)

    await send(parcel, put)
    target = Repo(tmp_path / "target")
    path = boxes.close(name, parcel.digest)
    new = await take_in(Git(work_tree=target.path), path, (head,), ())
    assert head in new
    assert git(target.path, "rev-parse", f"{head}:big.bin")
