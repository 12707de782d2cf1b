"""A swarm that is killed at any moment goes on to the very tree of one that was left alone."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from codetether_ray.core.events import ApprovalGiven, PlanMade, SubtaskMerged, SwarmStarted
from codetether_ray.testing.model_server import ModelServer, call, say
from tests.e2e.program import Ended, Program, make_program
from tests.e2e.swarm_scene import (
    TASK,
    SwarmModel,
    git,
    main_tree,
    make_repository,
    records,
)

LOCAL = ("--local", "--model", "local/m")
_MERGES = 4


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tree that the same swarm comes to where nobody kills it."""
    program = make_program(tmp_path_factory.mktemp("undisturbed"))
    make_repository(program.project)

    async def go() -> Ended:
        async with ModelServer(SwarmModel()) as server:
            return await _swarm(program, server, TASK)

    ended = asyncio.run(go())
    assert ended.code == 0, ended.err
    return main_tree(program.project)


async def _swarm(program: Program, server: ModelServer, *arguments: str, **env: str) -> Ended:
    return await program.run(
        "swarm", *arguments, *LOCAL, CODETETHER_LOCAL_BASE_URL=server.url, **env
    )


async def _resume(program: Program, server: ModelServer, *arguments: str, **env: str) -> Ended:
    url = server.url
    return await program.run(
        "swarm", "--resume", *arguments, "--local", CODETETHER_LOCAL_BASE_URL=url, **env
    )


def _run_id(program: Program) -> str:
    (name,) = (p.name for p in (program.data / "events").iterdir())
    return name


def _assert_as_if_nothing_had_been(
    program: Program, model: SwarmModel, tree: str, kills: int = 1
) -> None:
    assert main_tree(program.project) == tree
    run = _run_id(program)
    merges = git(
        program.project,
        "rev-list",
        "--merges",
        "--first-parent",
        f"codetether/{_slug(program)}/main",
    )
    assert len(merges.split()) == _MERGES
    found = [r.event for r in records(program, run)]
    for kind in (SwarmStarted, PlanMade):
        assert sum(isinstance(e, kind) for e in found) == 1
    landed = Counter(e.id for e in found if isinstance(e, SubtaskMerged))
    assert set(landed) == {"alpha", "beta", "gamma", "delta"}
    twice = {asked: n for asked, n in Counter(model.asked).items() if n > 1}
    repeated: Counter[str] = Counter()
    for (name, _), times in twice.items():
        repeated[name] += times - 1
    assert all(n <= kills for n in repeated.values()), twice  # what was in flight, of each agent


def _slug(program: Program) -> str:
    (ref,) = git(
        program.project, "for-each-ref", "--format=%(refname)", "refs/heads/codetether/*/main"
    ).splitlines()
    return ref.removeprefix("refs/heads/codetether/").removesuffix("/main")


@pytest.mark.matrix
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "place",
    [
        "run.begun",
        "plan.recorded",
        "subtask.queued",
        "subtask.committed",
        "subtask.recorded",
        "merge.before_swap",
        "merge.swapped",
        "merge.recorded",
        "swarm.recorded",
        "run.done",
    ],
)
async def test_a_crash_at_any_boundary_changes_nothing(
    place: str, times: int, program: Program, undisturbed: str
) -> None:
    once = {"run.begun", "plan.recorded", "swarm.recorded", "run.done"}
    if times > 1 and place in once:
        pytest.skip("it is passed once")
    model = SwarmModel()
    async with ModelServer(model) as server:
        first = await _swarm(program, server, TASK, CODETETHER_FAILPOINT=f"{place}:{times}")
        assert first.code == -signal.SIGKILL, first.err
        again = await _resume(program, server, CODETETHER_FAILPOINT=f"{place}:1")
        kills = 1
        if again.code == -signal.SIGKILL:  # during recovery, too
            kills = 2
            again = await _resume(program, server)
        assert (again.code, again.out) == (0, "All of it is done.\n"), again.err
        assert not server.refused
    _assert_as_if_nothing_had_been(program, model, undisturbed, kills)


async def test_a_crash_between_the_swap_and_its_record_makes_no_second_merge(
    program: Program, undisturbed: str
) -> None:
    model = SwarmModel()
    async with ModelServer(model) as server:
        first = await _swarm(program, server, TASK, CODETETHER_FAILPOINT="merge.swapped:2")
        assert first.code == -signal.SIGKILL, first.err
        again = await _resume(program, server)
    assert again.code == 0, again.err
    _assert_as_if_nothing_had_been(program, model, undisturbed)


@pytest.mark.parametrize("place", ["deliver.files", "deliver.swapped", "run.delivered"])
async def test_a_crash_in_a_delivery_delivers_nothing_twice(place: str, program: Program) -> None:
    git(program.project, "config", "user.name", "you")
    git(program.project, "config", "user.email", "you@example.com")
    model = SwarmModel()
    async with ModelServer(model) as server:
        first = await _swarm(program, server, TASK, "--merge", CODETETHER_FAILPOINT=f"{place}:1")
        assert first.code == -signal.SIGKILL, first.err
        asked = server.count
        again = await _resume(program, server, "--json")
        assert server.count == asked
    assert again.code == 0, again.err
    assert again.json["success"] is True
    commits = git(program.project, "log", "--format=%s").splitlines()
    assert commits == [f"Merge the result of {_run_id(program)}", "first"]
    assert git(program.project, "status", "--porcelain").splitlines() == [
        "M tracked.txt",
        "?? untracked.txt",
    ]
    assert (program.project / "gamma.txt").read_text() == "by gamma\n"


async def test_killed_during_a_model_call_only_that_call_is_repeated(
    program: Program, undisturbed: str
) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    west, east = {"TZ": "Pacific/Pago_Pago"}, {"TZ": "Pacific/Kiritimati"}  # never the same day
    async with ModelServer(slow) as server:
        process = await program.start(
            *("swarm", TASK, *LOCAL), CODETETHER_LOCAL_BASE_URL=server.url, **west
        )
        async with asyncio.timeout(180):
            while not {("beta", 0), ("delta", 1)} <= set(slow.asked):
                await asyncio.sleep(0.05)
        process.kill()
        await process.communicate()
        before = next(r for r in server.requests if slow.who(r) == "beta")
    (program.project / "AGENTS.md").write_text("Other instructions than before.\n")
    model = SwarmModel(asked=slow.asked)
    async with ModelServer(model) as server:
        again = await _resume(program, server, **east)
        after = next(r for r in server.requests if model.who(r) == "beta")
    assert again.code == 0, again.err
    assert Counter(model.asked)["beta", 0] == 2
    assert json.dumps(after.body) == json.dumps(before.body)
    _assert_as_if_nothing_had_been(program, model, undisturbed)


async def test_killed_during_a_tool_the_call_is_told_as_interrupted(
    program: Program, undisturbed: str, tmp_path: Path
) -> None:
    moment, tally = tmp_path / "begun", tmp_path / "tally"
    stuck = f"echo once >> {tally}; touch {moment}; while sleep 1; do :; done"
    beta = [
        call("write_file", path="beta.txt", content="by beta\n"),
        call("bash", command=stuck),
        say("beta is done"),
    ]
    model = SwarmModel(steps={"beta": beta})
    async with ModelServer(model) as server:
        process = await program.start(
            *("swarm", TASK, *LOCAL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        async with asyncio.timeout(180):
            while not moment.exists():
                await asyncio.sleep(0.05)
        process.kill()
        await process.communicate()
        again = await _resume(program, server)
        last = [r for r in server.requests if model.who(r) == "beta"][-1]
    assert again.code == 0, again.err
    assert "interrupted" in last.last_results[0].content
    assert tally.read_text() == "once\n"
    _assert_as_if_nothing_had_been(program, model, undisturbed)


async def test_a_word_given_on_a_plan_is_not_asked_for_again(
    program: Program, undisturbed: str
) -> None:
    model = SwarmModel()
    async with ModelServer(model) as server:
        first = await _swarm(
            program, server, TASK, "--plan", "--yes", CODETETHER_FAILPOINT="approval.recorded:1"
        )
        assert first.code == -signal.SIGKILL, first.err
        again = await _resume(program, server)  # nobody could answer here
        assert again.code == 0, again.err
        assert "estimate:" not in again.err
    given = [r.event for r in records(program, _run_id(program))]
    assert sum(isinstance(e, ApprovalGiven) for e in given) == 1
    _assert_as_if_nothing_had_been(program, model, undisturbed)


async def test_a_plan_that_was_to_be_shown_is_still_to_be_shown_when_it_goes_on(
    program: Program,
) -> None:
    async with ModelServer(SwarmModel()) as server:
        first = await _swarm(program, server, TASK, "--plan", "--json")
        assert (first.code, first.json["resume"]) == (
            3,
            f"codetether swarm --resume {first.json['swarm_id']}",
        )
        again = await _resume(program, server, "--json")
        assert again.code == 3
        approved = await _resume(program, server, "--yes", "--json")
        assert approved.code == 0, approved.err
        assert server.by_agent["Split this task"] <= 1


async def test_a_finished_swarm_gives_its_recorded_result_without_a_model(
    program: Program,
) -> None:
    async with ModelServer(SwarmModel()) as server:
        first = await _swarm(program, server, TASK, "--json")
    swarm_id = first.json["swarm_id"]
    again = await program.run("swarm", "--resume", swarm_id, "--json")
    assert (again.code, again.json) == (0, first.json)
    none = await program.run("swarm", "--resume")
    assert none.code == 2
    assert f"nothing to resume: {swarm_id}, the newest swarm here, has finished" in none.err
    other = await program.run("run", "--resume", swarm_id)
    assert other.code == 2
    assert f"`codetether swarm --resume {swarm_id}`" in other.err


async def test_another_model_is_recorded_for_those_that_go_on_with_it(program: Program) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    async with ModelServer(slow) as server:
        process = await program.start(
            *("swarm", TASK, *LOCAL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        async with asyncio.timeout(180):
            while not {("beta", 0), ("delta", 1)} <= set(slow.asked):
                await asyncio.sleep(0.05)
        ended = await program.interrupted(process)
    assert "interrupted" in ended.err
    model = SwarmModel()
    async with ModelServer(model) as server:
        again = await _resume(program, server, "--model", "local/other")
        assert {r.model for r in server.requests} == {"other"}
    assert again.code == 0, again.err
    models: dict[str, list[str]] = {}
    for record in records(program, _run_id(program)):
        if record.event.tag in ("agent.started", "agent.continued"):
            models.setdefault(record.agent, []).append(record.event.spec.model)
    assert models["sub/alpha"] == ["local/m"]
    assert models["sub/beta"] == ["local/m", "local/other"]
    assert models["sub/gamma"] == ["local/other"]


async def test_a_resolved_merge_is_told_as_resolved_after_a_crash_before_its_record(
    program: Program,
) -> None:
    names = ("left", "right")
    plan = tuple({"name": n, "instruction": f"Do the work of {n}."} for n in names)
    steps = {n: [call("write_file", path="same.txt", content=f"{n}\n"), say("done")] for n in names}
    steps["resolver"] = [
        call("write_file", path="same.txt", content="left\nright\n"),
        say("both kept"),
    ]
    async with ModelServer(SwarmModel(plan=plan, steps=steps)) as server:
        first = await _swarm(program, server, TASK, CODETETHER_FAILPOINT="merge.swapped:2")
        assert first.code == -signal.SIGKILL, first.err
        asked = server.count
        again = await _resume(program, server, "--json")
        assert server.count == asked + 1  # the closing words
    assert again.code == 0, again.err
    landed = [(s["merge"], s["conflicts"]) for s in again.json["subtask_results"]]
    assert landed == [("merged", []), ("resolved", ["same.txt"])]
    merges = git(program.project, "log", "--merges", "--format=%B", again.json["branch"])
    assert f"Codetether-Run: {_run_id(program)}\nCodetether-Subtask: right" in merges
