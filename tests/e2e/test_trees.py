"""The tree goes with the conversation, as a user sees it: worktrees come back, files are told."""

import asyncio
import shutil
import signal

import pytest

from codetether_ray.core.events import ToolFinished, ToolStarted
from codetether_ray.journal.reader import read_records
from codetether_ray.testing.model_server import ModelServer, call, say, script_of
from tests.e2e.program import Program
from tests.e2e.swarm_scene import TASK, SwarmModel, git, main_tree, make_repository

_MODEL = ("--model", "local/m")
_ALPHA = ({"name": "alpha", "instruction": "Do the work of alpha."},)
_STEPS = (
    call("write_file", path="alpha.txt", content="by alpha\n"),
    call("bash", command="echo ran >> tally.txt; rm tracked.txt; chmod +x readme.md"),
    call("edit", path="alpha.txt", old_string="by", new_string="truly by"),
    say("alpha is done"),
)


def _run_id(program: Program) -> str:
    (name,) = (p.name for p in (program.data / "events").iterdir())
    return name


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def test_a_session_killed_in_a_command_learns_what_it_had_changed_and_printed(
    program: Program,
) -> None:
    mark = program.home / "begun"
    touch = f"sleep 1; touch {mark}; sleep 600"
    replies = (
        call("write_file", path="a.txt", content="hi\n"),
        call("bash", command=f"echo so far; echo half > half.txt; rm tracked.txt; {touch}"),
        say("I see"),
    )
    heads = ("for-each-ref", "refs/heads", "refs/tags")
    before = git(program.project, *heads), git(program.project, "ls-files", "--stage")
    async with ModelServer(script_of(*replies)) as server:
        url = {"CODETETHER_LOCAL_BASE_URL": server.url}
        process = await program.start("run", "work", *_MODEL, **url)
        async with asyncio.timeout(180):
            while not mark.exists():
                await asyncio.sleep(0.02)
        process.kill()
        await process.communicate()
        ended = await program.run("run", "--resume", **url)
        assert ended.code == 0, ended.err
        assert server.count == 3
    run = _run_id(program)
    events = [r.event for r in read_records(program.data, run)]
    told = [e for e in events if isinstance(e, ToolFinished)][-1]
    assert told.interrupted
    words, files, output = (
        "it may have had part of its effect",
        "Files that differ from before: half.txt, tracked.txt.",
        "What it had printed ended with:\nso far",
    )
    assert words in told.result.content
    assert told.result.content.endswith(f"{files}\n{output}")
    assert not list((program.data / "output").iterdir())
    hub = program.data / "hubs" / f"{run}.git"
    assert git(hub, "show", f"{told.snapshot}:half.txt") == "half"
    first = next(e for e in events if isinstance(e, ToolStarted))
    assert git(hub, "show", f"{first.snapshot}:untracked.txt") == "new"
    assert (program.project / "half.txt").exists()
    assert not (program.project / "tracked.txt").exists()
    after = git(program.project, *heads), git(program.project, "ls-files", "--stage")
    assert after == before


@pytest.mark.parametrize("place", ["model.requested:4", "tool.begun:3", "snapshot.ref:3"])
async def test_a_swarms_worktree_that_is_lost_comes_back_as_it_was(
    place: str, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = SwarmModel(plan=_ALPHA, steps={"alpha": _STEPS})
    async with ModelServer(model) as server:
        url = {"CODETETHER_LOCAL_BASE_URL": server.url}
        flags = ("--local", *_MODEL)
        ended = await program.run("swarm", TASK, *flags, CODETETHER_FAILPOINT=place, **url)
        assert ended.code == -signal.SIGKILL, ended.err
        for worktree in (program.data / "worktrees").glob("*/*/alpha"):
            shutil.rmtree(worktree)
        ended = await program.run("swarm", "--resume", "--local", **url)
        assert ended.code == 0, ended.err
        asked = [step for name, step in model.asked if name == "alpha"]
        assert sorted(set(asked)) == [0, 1, 2, 3]
        assert len(asked) <= 5  # the one in flight
    names = git(program.project, "ls-tree", "-r", main_tree(program.project)).splitlines()
    found = {line.split("\t")[1]: line.split(" ")[0] for line in names}
    assert found.keys() == {".gitignore", "alpha.txt", "readme.md", "tally.txt", "untracked.txt"}
    assert found["readme.md"] == "100755"
    tree = main_tree(program.project)
    assert git(program.project, "show", f"{tree}:alpha.txt") == "truly by alpha"
    assert git(program.project, "show", f"{tree}:tally.txt") == "ran"


async def test_cleanup_takes_the_trees_of_finished_runs_and_keeps_those_of_runs_that_can_go_on(
    program: Program,
) -> None:
    write = call("write_file", path="a.txt", content="hi\n")
    async with ModelServer(lambda asked: say("done") if asked.step else write) as server:
        url = {"CODETETHER_LOCAL_BASE_URL": server.url}
        assert (await program.run("run", "work", *_MODEL, **url)).code == 0
        done = _run_id(program)
        cut = await program.run(
            "run", "work", *_MODEL, CODETETHER_FAILPOINT="model.responded:2", **url
        )
        assert cut.code == -signal.SIGKILL
        found = (await program.run("cleanup", "--json", "--yes")).json
        assert [hub["run"] for hub in found["hubs"]] == [done]
        (kept,) = found["kept"]
        assert "codetether run --resume ses_" in kept["reason"]
        assert not (program.data / "hubs" / f"{done}.git").exists()
        assert git(program.project, "for-each-ref", "refs/codetether").count("kept/") == 1
        assert (await program.run("run", "--resume", **url)).code == 0
    async with ModelServer(script_of(write, say("again"))) as server:
        url = {"CODETETHER_LOCAL_BASE_URL": server.url}
        (program.project / "a.txt").unlink()
        again = await program.run("run", "--session", done, "go on", **url)
        assert (again.code, again.out) == (0, "again\n"), again.err
    verified = await program.run("replay", done, "--verify")
    assert verified.code == 0, verified.out
    assert "took its hub away" in verified.out + verified.err
