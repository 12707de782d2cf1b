"""A user's files go to a head on another machine, and the result comes back to the checkout."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap.swarm.request import SwarmRequest
from codetether_ray.bootstrap.trees.carry import Carrier
from codetether_ray.bootstrap.trees.opening import let_go, looking_at, open_run_workspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.repos import Clones
from tests.adapters.workspace.neighbours import FakeNode
from tests.adapters.workspace.repos import RUN, Repo, git, write

FILES = {"a.txt": "a\n", "src/deep/b.txt": "b\n", ".gitignore": "*.log\n.env\n"}
DONE: dict[str, Any] = {"success": True, "outcome": "success", "diffstat": " 1 file", "branch": "x"}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place, prefix="codetether-test-") as found:
        yield Path(found)


@pytest.fixture
def head(tmp_path: Path) -> FakeNode:
    return FakeNode("head", tmp_path / "head" / "data")


@pytest.fixture
def carrier(tmp_path: Path, head: FakeNode) -> Carrier:
    return Carrier(head=head, data_dir=tmp_path / "mine" / "data")


def wish(directory: Path, head: FakeNode, **terms: Any) -> SwarmRequest:
    data = str(head.data_dir)
    return SwarmRequest(
        swarm_id=RUN, task="t", directory=str(directory), data_dir=data, model="local/m", **terms
    )


async def swarm_at(head: FakeNode, request: SwarmRequest) -> None:
    """What the head does with it: look around, let an agent work, merge."""
    assert json.loads(json.dumps(request.to_json()))["repository"]
    trees = await open_run_workspace(request, None, None)  # type: ignore[arg-type]
    assert isinstance(trees, GitWorkspace)
    async with looking_at(request, trees) as here:
        view = Path(here)
        assert view.is_relative_to(head.data_dir)
        assert (view / "b.txt").read_text() == "b, not committed\n"
        assert not (view / "noise.log").exists()
        tree = await trees.start("one")
        assert tree.path.name == "deep"
        (tree.path / "made.txt").write_text("made\n")
        done = await trees.commit(tree, "one")
        assert (await trees.merge(done.commit, "merge one")).status == "merged"
        assert await trees.release(tree, keep=False) is None
    assert not view.exists()
    assert await let_go(trees) == ()


def changed_repo(place: Path) -> Repo:
    repo = Repo(place)
    repo.commit(FILES)
    repo.write({"src/deep/b.txt": "b, not committed\n", "noise.log": "ignored", ".env": "KEY=1"})
    return repo


async def test_what_is_not_committed_goes_what_is_ignored_stays_and_the_branches_come_back(
    tmp_path: Path, head: FakeNode, carrier: Carrier
) -> None:
    repo = changed_repo(tmp_path / "project")
    before = repo.fingerprint()
    request = await carrier.carry(wish(repo.path / "src" / "deep", head))
    assert request.prefix == "src/deep"
    await swarm_at(head, request)
    result = await carrier.fetch(request, DONE)
    assert result == DONE
    assert repo.fingerprint() == before
    assert repo.branches() == [
        "codetether/swm-deadbeef/main",
        "codetether/swm-deadbeef/one",
        "trunk",
    ]
    assert repo.show("codetether/swm-deadbeef/main:src/deep/made.txt") == "made"
    again = await carrier.fetch(request, DONE)  # after a resume, say
    assert again == DONE
    assert all("KEY=1" not in p.read_text("utf-8", "replace") for p in head.data_dir.rglob("*.env"))


async def test_the_result_is_delivered_where_the_user_is(
    tmp_path: Path, head: FakeNode, carrier: Carrier
) -> None:
    repo = changed_repo(tmp_path / "project")
    request = await carrier.carry(wish(repo.path / "src" / "deep", head, deliver=True))
    await swarm_at(head, request)
    result = await carrier.fetch(request, DONE)
    assert "1 file" in str(result.get("delivered")), result
    assert (repo.path / "src/deep/made.txt").read_text() == "made\n"
    assert (repo.path / "src/deep/b.txt").read_text() == "b, not committed\n"


async def test_what_was_set_aside_and_is_not_committed_does_not_keep_the_result_away(
    tmp_path: Path, head: FakeNode, carrier: Carrier
) -> None:
    repo = Repo(tmp_path / "project")
    repo.commit({"prd.json": "{}\n", "a.txt": "a\n"})
    repo.write({"prd.json": '{"mine": 1}\n'})
    aside = (str(repo.path / "prd.json"), str(repo.path / "progress.txt"))
    request = await carrier.carry(wish(repo.path, head, deliver=True, set_aside=aside))
    trees = await open_run_workspace(request, None, None)  # type: ignore[arg-type]
    tree = await trees.start("one")
    assert (tree.path / "prd.json").read_text() == "{}\n"
    write(tree.path, {"prd.json": '{"passes": true}\n', "made.txt": "made\n"})
    done = await trees.commit(tree, "one")
    await trees.merge(done.commit, "merge one")
    result = await carrier.fetch(request, DONE)
    assert "fast-forwarded" in str(result.get("delivered")), result
    assert (repo.path / "made.txt").read_text() == "made\n"
    assert repo.show("HEAD:prd.json") == '{"passes": true}'
    assert (repo.path / "prd.json").read_text() == '{"mine": 1}\n'
    assert repo.git("status", "--porcelain") == " M prd.json"


async def test_a_checkout_that_changed_meanwhile_gets_the_branch_and_no_delivery(
    tmp_path: Path, head: FakeNode, carrier: Carrier
) -> None:
    repo = changed_repo(tmp_path / "project")
    request = await carrier.carry(wish(repo.path / "src" / "deep", head, deliver=True))
    await swarm_at(head, request)
    repo.write({"src/deep/b.txt": "the user went on\n"})
    result = await carrier.fetch(request, DONE)
    assert (result["success"], result["outcome"]) == (False, "partial")
    assert (repo.path / "src/deep/b.txt").read_text() == "the user went on\n"
    assert "codetether/swm-deadbeef/main" in repo.branches()


async def test_outside_git_the_result_is_a_patch_where_the_user_is(
    tmp_path: Path, head: FakeNode, carrier: Carrier
) -> None:
    place = tmp_path / "plain"
    write(place, {"b.txt": "b, not committed\n"})
    request = await carrier.carry(wish(place, head))
    trees = await open_run_workspace(request, None, None)  # type: ignore[arg-type]
    tree = await trees.start("one")
    (tree.path / "b.txt").write_text("made\n")
    done = await trees.commit(tree, "one")
    await trees.merge(done.commit, "merge one")
    result = await carrier.fetch(request, DONE)
    assert result["branch"] == ""
    assert "+made" in Path(str(result["patch"])).read_text()
    assert not (place / ".git").exists()


async def test_a_second_swarm_carries_only_what_is_new(
    tmp_path: Path, head: FakeNode, carrier: Carrier
) -> None:
    repo = Repo(tmp_path / "project")
    (repo.path / "big.bin").write_bytes(os.urandom(300_000))
    repo.commit(FILES)
    await carrier.carry(wish(repo.path, head))
    first, head.received = head.received, 0
    repo.commit({"a.txt": "more\n"})
    other = SwarmRequest.from_json(
        {**wish(repo.path, head).to_json(), "swarm_id": f"{RUN[:-8]}beefdead"}
    )
    await carrier.carry(other)
    assert first > 300_000
    assert 0 < head.received < 3_000
    (clone,) = Clones(head.data_dir).all()
    assert clone.is_used
    assert git(clone.path, "for-each-ref", "--format=%(refname)").count("/base") == 2
