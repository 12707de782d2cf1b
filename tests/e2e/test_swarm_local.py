"""`codetether swarm --local`: the whole swarm in one process, against a model behind real HTTP."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelServer, call, fail, say
from tests.e2e.program import Ended, Program
from tests.e2e.swarm_scene import (
    PLAN,
    TASK,
    SwarmModel,
    by_agent,
    checkout,
    git,
    main_tree,
    make_repository,
    records,
    until_answered,
)

LOCAL = ("--local", "--model", "local/m")


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def swarm(program: Program, server: ModelServer, *arguments: str) -> Ended:
    return await program.run("swarm", *arguments, *LOCAL, CODETETHER_LOCAL_BASE_URL=server.url)


async def test_a_plan_in_waves_becomes_one_merged_branch_and_the_checkout_stays(
    program: Program,
) -> None:
    before = checkout(program.project)
    model = SwarmModel()
    async with ModelServer(model) as server:
        ended = await swarm(program, server, TASK, "--json")
        assert not server.refused
    assert ended.code == 0, ended.err
    result = ended.json
    assert (result["success"], result["outcome"]) == (True, "success")
    assert result["result"] == "All of it is done."
    assert [s["stage"] for s in result["subtask_results"]] == [0, 0, 1, 1]
    assert checkout(program.project) == before
    branch = result["branch"]
    names = git(program.project, "ls-tree", "--name-only", branch).splitlines()
    assert {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt"} <= set(names)
    assert git(program.project, "show", f"{branch}:untracked.txt") == "new"
    assert git(program.project, "show", f"{branch}:tracked.txt") == "first\nnot committed"
    assert "ignored" not in names
    assert model.asked.index(("gamma", 0)) > model.asked.index(("beta", 1))
    listed = await program.run("runs", "--json")
    assert result["swarm_id"] in listed.out


async def test_text_shows_the_answer_on_stdout_and_the_summary_on_stderr(
    program: Program,
) -> None:
    async with ModelServer(SwarmModel()) as server:
        ended = await swarm(program, server, TASK)
    assert (ended.code, ended.out) == (0, "All of it is done.\n")
    for words in ("plan of 4 subtasks", "alpha: merged", "git merge codetether/", "total: 4"):
        assert words in ended.err


async def test_stream_json_is_nothing_but_json_lines(program: Program) -> None:
    async with ModelServer(SwarmModel()) as server:
        ended = await swarm(program, server, TASK, "--format", "stream-json")
    kinds = [line["kind"] for line in ended.lines]
    assert kinds[-1] == "result"
    assert {"swarm.started", "swarm.planned", "swarm.subtask", "swarm.merged"} <= set(kinds)
    assert ended.lines[-1]["success"] is True
    durable = [line["seq"] for line in ended.lines if line.get("seq", -1) >= 0]
    assert sorted(durable) == sorted(set(durable))


async def test_a_plan_that_nobody_can_approve_ends_with_3(program: Program) -> None:
    async with ModelServer(SwarmModel()) as server:
        ended = await swarm(program, server, TASK, "--plan", "--json")
        assert server.count == 1
        assert ended.code == 3
        assert "estimate: 4 agents, about" in ended.err
        assert ended.json["outcome"] == "cancelled"
        approved = await swarm(program, server, TASK, "--plan", "--yes")
    assert approved.code == 0
    assert "estimate: 4 agents, about" in approved.err


async def test_a_large_plan_needs_a_word_even_without_plan(program: Program) -> None:
    many = tuple({"name": f"n{i:02}", "instruction": f"Do the work of n{i:02}."} for i in range(21))
    async with ModelServer(SwarmModel(plan=many)) as server:
        ended = await swarm(program, server, TASK)
    assert ended.code == 3
    assert "--yes" in ended.err


async def test_a_failed_subtask_stops_its_dependents_and_the_rest_is_merged(
    program: Program,
) -> None:
    model = SwarmModel(steps={"beta": [fail(400, "no such thing")]})
    async with ModelServer(model) as server:
        ended = await swarm(program, server, TASK, "--json")
    status = {s["name"]: s["status"] for s in ended.json["subtask_results"]}
    assert status == {
        "alpha": "completed",
        "beta": "failed",
        "gamma": "blocked",
        "delta": "completed",
    }
    assert (ended.code, ended.json["outcome"]) == (1, "partial")
    assert ended.json["success"] is False
    assert "codetether swarm --resume" in ended.err


async def test_a_conflict_goes_to_the_resolver_and_leaves_no_marker(program: Program) -> None:
    plan = (
        {"name": "left", "instruction": "Do the work of left."},
        {"name": "right", "instruction": "Do the work of right."},
    )
    steps = {
        name: [call("write_file", path="same.txt", content=f"{name}\n"), say("done")]
        for name in ("left", "right")
    }
    steps["resolver"] = [
        call("write_file", path="same.txt", content="left\nright\n"),
        say("both kept"),
    ]
    async with ModelServer(SwarmModel(plan=plan, steps=steps)) as server:
        ended = await swarm(program, server, TASK, "--json")
    assert ended.code == 0, ended.err
    branch = ended.json["branch"]
    assert git(program.project, "show", f"{branch}:same.txt") == "left\nright"
    assert [s["merge"] for s in ended.json["subtask_results"]] == ["merged", "resolved"]


async def test_an_agent_cannot_write_outside_its_worktree(program: Program) -> None:
    (program.project / "link").symlink_to(program.home)
    plan = ({"name": "one", "instruction": "Do the work of one."},)
    attempts = ["/etc/codetether-x", "../x.txt", "link/x.txt"]
    steps = {"one": [*(call("write_file", path=p, content="x") for p in attempts), say("no way")]}
    async with ModelServer(SwarmModel(plan=plan, steps=steps)) as server:
        ended = await swarm(program, server, TASK, "--json")
        answers = [r for q in server.requests for r in q.last_results]
    assert ended.code == 0, ended.err
    assert [r.content.count("outside the workspace") for r in answers] == [1, 1, 1]
    assert not Path("/etc/codetether-x").exists()
    assert not list(program.home.rglob("x.txt"))


async def test_merge_brings_the_result_into_the_users_branch(program: Program) -> None:
    git(program.project, "add", "--all")
    git(program.project, "commit", "--message=all")
    git(program.project, "config", "user.name", "you")
    git(program.project, "config", "user.email", "you@example.com")
    async with ModelServer(SwarmModel()) as server:
        ended = await swarm(program, server, TASK, "--merge", "--json")
    assert ended.code == 0, ended.err
    assert (program.project / "gamma.txt").read_text() == "by gamma\n"
    assert git(program.project, "status", "--porcelain") == ""


async def test_outside_git_a_patch_is_given_back(program: Program, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "a.txt").write_text("a\n")
    async with ModelServer(SwarmModel()) as server:
        ended = await swarm(replace(program, project=bare), server, TASK, "--json")
    assert ended.code == 0, ended.err
    assert sorted(p.name for p in bare.iterdir()) == ["a.txt"]
    patch = Path(ended.json["patch"]).read_text()
    assert "+by gamma" in patch
    assert "git apply" in ended.err


async def test_a_patch_holds_bytes_that_are_no_text_and_applies(
    program: Program, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    plan = ({"name": "one", "instruction": "Do the work of one."},)
    steps = {"one": [call("bash", command=r"printf 'caf\351\n' > latin.txt"), say("done")]}
    async with ModelServer(SwarmModel(plan=plan, steps=steps)) as server:
        ended = await swarm(replace(program, project=bare), server, TASK, "--json")
    assert ended.code == 0, ended.err
    git(bare, "apply", ended.json["patch"])
    assert (bare / "latin.txt").read_bytes() == b"caf\xe9\n"


async def test_a_resumed_swarm_takes_the_setup_command_of_today_and_counts_all_it_spent(
    program: Program,
) -> None:
    plan = ({"name": "one", "instruction": "Do the work of one."},)
    await program.run("config", "set", "workspace.setup", "exit 7")
    async with ModelServer(SwarmModel(plan=plan)) as server:
        first = await swarm(program, server, TASK, "--json")
        assert (first.code, first.json["outcome"]) == (1, "failed")
        assert "workspace.setup `exit 7` ended with 7" in first.json["error"]
        await program.run("config", "set", "workspace.setup", "true")
        again = await swarm(program, server, "--resume", first.json["swarm_id"], "--json")
    assert again.code == 0, again.err
    own = again.json["subtask_results"][0]["usage"]["total_tokens"]
    assert again.json["usage"]["total_tokens"] == own + first.json["usage"]["total_tokens"]


async def test_an_interrupted_swarm_goes_on_where_it_stopped(program: Program) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    async with ModelServer(slow) as server:
        process = await program.start(
            *("swarm", TASK, "--json", *LOCAL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        await until_answered(program, "sub/delta", 1)
        ended = await program.interrupted(process)
    assert ended.code == 130, ended.err
    assert ended.json["outcome"] == "cancelled"
    swarm_id = ended.json["swarm_id"]
    assert f"codetether swarm --resume {swarm_id}" in ended.err
    model = SwarmModel()
    async with ModelServer(model) as server:
        again = await swarm(program, server, "--resume", swarm_id, "--json")
    assert again.code == 0, again.err
    assert again.json["swarm_id"] == swarm_id
    assert {name for name, _ in model.asked} == {"beta", "gamma", "synthesis"}
    names = git(program.project, "ls-tree", "--name-only", again.json["branch"]).splitlines()
    assert {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt"} <= set(names)


async def test_cancel_ends_a_run_that_another_process_drives(program: Program) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    async with ModelServer(slow) as server:
        process = await program.start(
            *("swarm", TASK, "--json", *LOCAL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        async with asyncio.timeout(180):
            while ("beta", 0) not in slow.asked:
                await asyncio.sleep(0.05)
        listed = await program.run("runs", "--json")
        run_id = json.loads(listed.out)[0]["id"]
        waiting = asyncio.create_task(process.communicate())
        cancelled = await program.run("cancel", run_id)
        await waiting
    assert (cancelled.code, cancelled.out) == (0, f"{run_id} was stopped\n")
    assert process.returncode == 130


async def test_max_time_ends_a_swarm_with_124(program: Program) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    async with ModelServer(slow) as server:
        ended = await swarm(program, server, TASK, "--json", "--max-time", "6s")
    assert (ended.code, ended.json["outcome"]) == (124, "cancelled")


async def test_a_spent_budget_ends_admissions_and_a_larger_one_goes_on(
    program: Program,
) -> None:
    model = SwarmModel()
    async with ModelServer(model) as server:
        first = await swarm(program, server, TASK, "--json", "--max-tokens", "15000")
        assert (first.code, first.json["outcome"]) == (1, "budget"), first.err
        assert "budget" in first.json["error"]
        assert "with a higher --max-tokens or --budget" in first.err
        swarm_id = first.json["swarm_id"]
        same = await swarm(program, server, "--resume", swarm_id, "--json")
        assert (same.code, same.json["outcome"]) == (1, "budget")
        assert same.json["usage"]["total_tokens"] <= 15000
        again = await swarm(
            program, server, "--resume", swarm_id, "--json", "--max-tokens", "1000000"
        )
    assert again.code == 0, again.err


async def test_a_tape_gives_the_same_trees_and_events_whatever_the_delays(
    program: Program,
) -> None:
    async with ModelServer(SwarmModel()) as server:
        first = await swarm(program, server, TASK, "--json", "--record", "swarm.tape")
    assert first.code == 0, first.err
    tape = program.home / "swarm.tape"
    (program.project / "swarm.tape").rename(tape)
    tree = main_tree(program.project)
    events = by_agent(records(program, first.json["swarm_id"]))
    for seed in range(3):
        again = await program.run(
            *("swarm", TASK, "--json", "--local"),
            *("--model", f"tape/{tape}?delay=0..0.4&seed={seed}"),
        )
        assert again.code == 0, again.err
        assert main_tree(program.project) == tree
        assert by_agent(records(program, again.json["swarm_id"])) == events
    assert len(PLAN) == len(first.json["subtask_results"])


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("",),
        (TASK, "--strategy", "guess"),
        (TASK, "--budget", "1"),
        (TASK, "--max-subagents", "0"),
        ("--resume", "swm_0000000000_00000000"),
    ],
)
async def test_wrong_usage_ends_with_2_before_anything_is_started(
    arguments: tuple[str, ...], program: Program
) -> None:
    ended = await program.run("swarm", *arguments, *LOCAL)
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert not list(program.data.glob("events/*"))


async def test_a_cycle_in_the_plan_is_refused_before_any_sub_agent(program: Program) -> None:
    plan = (
        {"name": "a", "instruction": "Do the work of a.", "dependencies": ["b"]},
        {"name": "b", "instruction": "Do the work of b.", "dependencies": ["a"]},
    )
    model = SwarmModel(plan=plan)
    async with ModelServer(model) as server:
        ended = await swarm(program, server, TASK, "--json")
    assert ended.code == 1
    assert "cycle" in ended.json["error"]
    assert {name for name, _ in model.asked} == {"planner"}
