"""Killed at any moment of its protocol, a Ralph run goes on to the same tree."""

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelServer
from tests.e2e.program import Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.swarm_scene import git

BRANCH = "ralph/eight-things"
SCENE = tuple(s for s in STORIES if s["id"] in ("US-001", "US-003", "US-004", "US-005"))
"""A gate that fails twice, a diagnosis, two stories that may conflict."""

POINTS = (
    "ralph.started:1",
    "ralph.begun:1",
    "ralph.begun:2",
    "ralph.begun:4",
    "ralph.committed:1",
    "ralph.committed:3",
    "ralph.attempted:1",
    "ralph.attempted:4",
    "ralph.merged:1",
    "ralph.merged:2",
    "ralph.merged:4",
    "ralph.failed:1",
    "ralph.failed:2",
    "ralph.diagnosed:1",
    "ralph.gated:1",
    "ralph.gated:3",
    "trunk.advanced:1",
    "trunk.advanced:3",
    "ralph.landed:2",
    "ralph.passed:1",
    "ralph.passed:3",
    "ralph.saved:2",
    "ralph.saved:4",
    "ralph.recorded:1",
)


@pytest.mark.parametrize("point", ["trunk.advanced:2", "ralph.passed:2"])
async def test_killed_between_a_landing_and_the_words_on_it_it_comes_to_the_same_tree(
    program: Program, tmp_path: Path, point: str
) -> None:
    await killed_at(point, program, tmp_path)


@pytest.mark.matrix
@pytest.mark.parametrize("point", POINTS)
async def test_killed_there_it_comes_to_the_same_tree(
    program: Program, tmp_path: Path, point: str
) -> None:
    await killed_at(point, program, tmp_path)


async def killed_at(point: str, program: Program, tmp_path: Path) -> None:
    """Kill a run at a point of its protocol, resume it, and look at all that it has left."""
    make_project(program.project, stories=SCENE)
    model = RalphModel()
    where = {"CODETETHER_FAILPOINT": point, "CODETETHER_FAILPOINT_ONCE": str(tmp_path / "struck")}
    async with ModelServer(model) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        words = ("ralph", "run", "--local", "--model", "local/m", "--json", "--parallel", "2")
        cut = await program.run(*words, **env, **where)
        assert cut.code == -signal.SIGKILL, cut.err
        ended = await program.run(*words, "--resume", **env)
    assert ended.code == 0, ended.err
    result = ended.json
    assert result["outcome"] == "completed"
    project = program.project
    assert git(project, "show", f"{BRANCH}:src/shared.txt") == "both"
    assert git(project, "show", f"{BRANCH}:src/US-003.txt") == "right US-003"
    names = git(project, "ls-tree", "-r", "--name-only", BRANCH).split()
    assert [n for n in names if n.startswith("src/")] == [
        "src/US-001.txt",
        "src/US-003.txt",
        "src/shared.txt",
    ]

    # each story landed once, and is told of once
    log = git(project, "log", "--format=%s", f"dev..{BRANCH}").splitlines()
    assert sorted(log) == sorted(f"feat({s['id'].lower()}): {s['title']}" for s in SCENE)
    after = (project / "prd.json").read_text()
    assert all(story["passes"] for story in json.loads(after)["user_stories"])
    progress = (project / "progress.txt").read_text()
    told = Counter(line.split()[4] for line in progress.splitlines() if line.startswith("## "))
    assert told == {f"{s['id']}:": 1 for s in SCENE}
    assert git(project, "show", f"{BRANCH}:progress.txt") == progress.rstrip("\n")
    assert git(project, "show", f"{BRANCH}:prd.json") == after.rstrip("\n")

    # finished agents were not asked again: at most the calls in flight were
    asked = Counter(model.asked)
    attempts = {s["id"]: s["attempts"] for s in result["stories"]}
    for (name, step), count in asked.items():
        allowed = attempts.get(name, 1)
        assert count <= allowed + 1, (name, step)
    assert sum(asked.values()) <= 2 * (sum(attempts.values()) + 2) + 4
