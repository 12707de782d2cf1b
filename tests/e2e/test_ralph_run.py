"""`codetether ralph run --local`: stories with real gates, against a model behind real HTTP."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.testing.model_server import ModelServer
from tests.e2e.program import Ended, Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.swarm_scene import git

LOCAL = ("--local", "--model", "local/m")
BRANCH = "ralph/eight-things"
PASSED = ["US-001", "US-002", "US-003", "US-004", "US-005", "US-008"]


async def ralph(program: Program, server: ModelServer, *more: str, **env: str) -> Ended:
    env = {"CODETETHER_LOCAL_BASE_URL": server.url, **env}
    return await program.run("ralph", "run", *LOCAL, *more, **env)


def passes(path: Path) -> list[str]:
    """The stories that a PRD's file says have passed."""
    stories: list[dict[str, Any]] = json.loads(path.read_text())["user_stories"]
    return [s["id"] for s in stories if s.get("passes")]


async def test_eight_stories_one_twice_wrong_one_in_conflict_one_blocked(program: Program) -> None:
    make_project(program.project)
    before = (program.project / "prd.json").read_text()
    head = git(program.project, "rev-parse", "HEAD")
    model = RalphModel(meets=True)
    async with ModelServer(model) as server:
        ended = await ralph(program, server, "--json", "--parallel", "3", "--max-iterations", "20")
        assert not server.refused
    result = ended.json
    assert (ended.code, result["outcome"]) == (1, "blocked"), ended.err
    status = {s["id"]: s["status"] for s in result["stories"]}
    assert [id for id, how in status.items() if how == "passed"] == PASSED
    assert (status["US-006"], status["US-007"]) == ("blocked", "blocked")
    attempts = {s["id"]: s["attempts"] for s in result["stories"]}
    assert (attempts["US-003"], attempts["US-001"], attempts["US-007"]) == (3, 1, 0)
    assert Counter(name for name, step in model.asked if step == 0)["diagnosis"] == 1

    # the branch: one commit for each story, with one parent each, on the user's commit
    assert result["branch"] == BRANCH
    log = git(program.project, "log", "--format=%s", f"{head}..{BRANCH}").splitlines()
    assert sorted(log) == sorted(
        f"feat({s['id'].lower()}): {s['title']}" for s in STORIES if s["id"] in PASSED
    )
    assert log[-1] == "feat(us-001): The core"
    body = git(program.project, "log", "-1", "--format=%(trailers)", BRANCH)
    assert f"Ralph-Run: {result['run_id']}" in body
    show = f"{BRANCH}:src"
    assert git(program.project, "show", f"{show}/US-003.txt") == "right US-003"
    assert git(program.project, "show", f"{show}/shared.txt") == "both"

    # the PRD and progress.txt: saved in place, and the branch carries the same
    after = (program.project / "prd.json").read_text()
    assert passes(program.project / "prd.json") == PASSED
    assert '"x-owner": "somebody"' in after
    assert len(after.splitlines()) == len(before.splitlines()) + len(PASSED)
    progress = (program.project / "progress.txt").read_text()
    assert progress.startswith("# What we know\n")
    assert Counter(progress.split()).get("Learnings") == len(PASSED)
    for name, text in (("prd.json", after), ("progress.txt", progress)):
        assert git(program.project, "show", f"{BRANCH}:{name}") == text.rstrip("\n")

    # the user's checkout: nothing else
    assert git(program.project, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").split()[0] == head
    dirty = git(program.project, "status", "--porcelain").split()
    assert set(dirty) == {"M", "prd.json", "progress.txt"}

    # a failed gate's words reached the next attempt
    again = next(r for r in model.requests if "An earlier attempt did not" in r.first_user_text)
    assert "src/US-003.txt:1:wrong US-003" in again.first_user_text
    assert "codetether ralph run --resume" in ended.err


async def test_everything_passes_and_is_merged_where_that_is_asked_for(program: Program) -> None:
    make_project(program.project, stories=STORIES[:2])
    (program.project / "readme.md").write_text("# sample, changed\n")
    async with ModelServer(RalphModel()) as server:
        ended = await ralph(program, server, "--merge")
    assert ended.code == 0, ended.err
    assert "2 of 2 stories passed on ralph/eight-things (completed)" in ended.out
    assert (program.project / "src" / "US-002.txt").read_text() == "right US-002\n"
    assert passes(program.project / "prd.json") == ["US-001", "US-002"]
    assert (program.project / "readme.md").read_text() == "# sample, changed\n"
    assert git(program.project, "status", "--porcelain") == "M readme.md"
    audit = await program.run("audit", "query", "--action", "ralph.*", "--json")
    told = [(line["action"], line.get("task_id")) for line in audit.lines]
    assert [task for action, task in told if action == "ralph.land"] == ["US-001", "US-002"]
    assert ("ralph.deliver", None) in told


async def test_a_branch_that_is_checked_out_moves_only_with_merge(program: Program) -> None:
    make_project(program.project, stories=STORIES[:1], tracked=False)
    git(program.project, "checkout", "--quiet", "-b", BRANCH)
    head = git(program.project, "rev-parse", "HEAD")
    (program.project / "prd.json").exists()
    async with ModelServer(RalphModel()) as server:
        ended = await ralph(program, server, "--json")
        result = ended.json
        assert ended.code == 0, ended.err
        assert git(program.project, "rev-parse", BRANCH) == head
        assert result["branch"].startswith("codetether/rlp-")
        merged = await ralph(program, server, "--json", "--merge", "--resume", result["run_id"])
        assert server.count == 2
    assert merged.code == 0, merged.err
    assert git(program.project, "log", "-1", "--format=%s") == "feat(us-001): The core"


async def test_a_second_run_goes_on_from_the_branch_of_the_first(program: Program) -> None:
    make_project(program.project, stories=STORIES[:2])
    async with ModelServer(RalphModel()) as server:
        first = await ralph(program, server, "--json", "--max-iterations", "1")
        assert (first.code, first.json["outcome"]) == (1, "max_iterations")
        second = await ralph(program, server, "--json")
        assert (second.code, second.json["outcome"]) == (0, "completed"), second.err
    log = git(program.project, "log", "--format=%s", f"dev..{BRANCH}").splitlines()
    assert log == ["feat(us-002): Greets", "feat(us-001): The core"]


async def test_a_prd_that_is_not_there_or_not_sound_is_one_sentence(program: Program) -> None:
    make_project(program.project)
    for words, text in (("there is no such file", None), ("user_stories[0]", '{"project": "p"}')):
        place = program.project / "other.json"
        if text is not None:
            broken = {"project": "p", "feature": "f", "user_stories": [{"id": "A"}]}
            place.write_text(json.dumps(broken))
        ended = await program.run("ralph", "run", *LOCAL, "-p", "other.json")
        assert ended.code != 0
        assert words in ended.err
        assert ended.out == ""


@pytest.mark.parametrize("form", ["stream-json"])
async def test_stream_json_is_nothing_but_json_lines(program: Program, form: str) -> None:
    make_project(program.project, stories=STORIES[:1])
    async with ModelServer(RalphModel()) as server:
        ended = await ralph(program, server, "--format", form)
    kinds = [line["kind"] for line in ended.lines]
    assert kinds[-1] == "result"
    wanted = {"ralph.started", "ralph.attempt", "ralph.attempted", "ralph.merged", "ralph.gate"}
    assert wanted | {"ralph.story", "ralph.complete"} <= set(kinds)
