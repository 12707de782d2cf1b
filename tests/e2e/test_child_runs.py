"""An agent whose tool call starts a whole run: in its own directory, once, and at its own cost."""

import asyncio
import json
import signal
from collections import Counter
from dataclasses import dataclass, field

import pytest

from codetether_ray.core.events import ChildRunFinished, ChildRunStarted, RunFinished
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Ended, Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.ray_scene import kill
from tests.e2e.swarm_scene import SwarmModel, git, make_repository, records

MODEL = ("--model", "local/test-model")
ASKED = "have the four files written"
ONE_STORY = [{"description": "Do the work of US-001.", **STORIES[0]}]


@dataclass
class Parent:
    """A main agent that calls `swarm` once, and the swarm that comes of it."""

    swarm: SwarmModel = field(default_factory=SwarmModel)
    seen: list[str] = field(default_factory=list)
    """What the main agent was told by its call."""

    def __call__(self, asked: ModelCall) -> Reply:
        if asked.first_user_text.find(ASKED) < 0:
            return self.swarm(asked)
        if asked.step == 0:
            return call("swarm", task="write the four files")
        self.seen += [r.content for m in asked.messages for r in m.tool_results]
        return say("they are written")


async def begun(
    program: Program, server: ModelServer, *words: str, timeout_s: float = 240, **env: str
) -> Ended:
    return await program.run(
        *("run", ASKED, "--format", "json", *words),
        *MODEL,
        CODETETHER_LOCAL_BASE_URL=server.url,
        timeout_s=timeout_s,
        **env,
    )


def runs(program: Program) -> tuple[str, str]:
    """The ids of the session and of its one child."""
    names = sorted(p.name for p in (program.data / "events").iterdir())
    [session] = [name for name in names if name.startswith("ses_")]
    [child] = [name for name in names if name.startswith("swm_")]
    return session, child


async def test_a_swarm_that_an_agent_calls_delivers_into_its_directory(program: Program) -> None:
    make_repository(program.project)
    model = Parent()
    async with ModelServer(model) as server:
        ended = await begun(program, server)
    assert ended.code == 0, ended.err
    session, child = runs(program)
    assert f"swarm {child}: success" in model.seen[0]
    assert "All of it is done." in model.seen[0]
    for name in ("alpha", "beta", "gamma", "delta"):
        assert (program.project / f"{name}.txt").read_text() == f"by {name}\n"
    assert git(program.project, "log", "-1", "--format=%B").startswith(
        f"Merge the result of {child}"
    )
    assert (program.project / "tracked.txt").read_text() == "first\nnot committed\n"
    told = [r.event for r in records(program, session)]
    [started] = [e for e in told if isinstance(e, ChildRunStarted)]
    [finished] = [e for e in told if isinstance(e, ChildRunFinished)]
    assert (started.run_id, finished.run_id, finished.outcome) == (child, child, "success")
    assert finished.usage.total_tokens > 0
    assert ended.json["usage"]["total_tokens"] > finished.usage.total_tokens
    assert {r.correlation.session_id for r in records(program, child)} == {session}


async def test_a_child_may_spend_what_is_left_to_its_parent(program: Program) -> None:
    make_repository(program.project)
    model = Parent()
    async with ModelServer(model) as server:
        ended = await begun(program, server, "--max-tokens", "20000")
    session, _ = runs(program)
    told = [r.event for r in records(program, session)]
    [finished] = [e for e in told if isinstance(e, ChildRunFinished)]
    assert finished.outcome == "budget"
    assert ended.json["outcome"] == "budget"
    assert finished.usage.total_tokens <= 20000


@pytest.mark.parametrize(
    "place",
    [
        "child.started:1",
        pytest.param("merge.recorded:2", marks=pytest.mark.matrix),
        pytest.param("run.delivered:1", marks=pytest.mark.matrix),
        "child.finished:1",
    ],
)
async def test_a_parent_that_is_killed_finds_its_child_again(place: str, program: Program) -> None:
    make_repository(program.project)
    model = Parent()
    async with ModelServer(model) as server:
        killed = await begun(program, server, CODETETHER_FAILPOINT=place)
        assert killed.code == -signal.SIGKILL, killed.err
        ended = await program.run(
            *("run", "--resume", "--format", "json"), CODETETHER_LOCAL_BASE_URL=server.url
        )
        asked = Counter(model.swarm.asked)
    assert (ended.code, ended.json["text"]) == (0, "they are written"), ended.err
    session, child = runs(program)
    assert f"swarm {child}: success" in model.seen[-1]
    assert asked[("planner", 0)] == 1
    commits = git(program.project, "log", "--format=%s").splitlines()
    assert commits.count(f"Merge the result of {child}") == 1
    ends = [r.event for r in records(program, child) if isinstance(r.event, RunFinished)]
    assert [e.outcome for e in ends] == ["success"]
    paid = [r.event for r in records(program, session) if isinstance(r.event, ChildRunFinished)]
    assert len({(e.run_id, e.usage) for e in paid}) == 1


async def test_on_ray_a_child_has_a_supervisor_and_outlives_the_loss_of_both(
    program: Program,
) -> None:
    make_repository(program.project)
    model, killed = Parent(), list[int]()

    async def script(asked: ModelCall) -> Reply:
        reply = model(asked)
        if model.swarm.asked[-1:] == [("gamma", 1)] and not killed:
            killed.extend(kill(program, "Supervisor"))
            await asyncio.sleep(2)
        return reply

    async with ModelServer(script) as server:
        ended = await begun(program, server, "--ray", timeout_s=300)
    assert (ended.code, ended.json["text"]) == (0, "they are written"), ended.err
    session, child = runs(program)
    assert len(killed) == 2, "the session's and the swarm's"
    assert f"swarm {child}: success" in model.seen[-1]
    assert Counter(model.swarm.asked)[("planner", 0)] == 1
    assert (program.project / "delta.txt").read_text() == "by delta\n"
    paid = [r.event for r in records(program, session) if isinstance(r.event, ChildRunFinished)]
    assert [e.outcome for e in paid] == ["success"]


async def test_an_agent_has_a_prd_worked_off_and_asks_how_it_stands(program: Program) -> None:
    make_project(program.project, user_stories=ONE_STORY)
    model, seen = RalphModel(), list[str]()
    steps = [
        call("ralph", action="run", max_iterations=3),
        call("ralph", action="status"),
        call("ralph", action="create-prd"),
        say("one story"),
    ]

    async def script(asked: ModelCall) -> Reply:
        if ASKED not in asked.first_user_text:
            return await model(asked)
        seen.extend(result.content for result in asked.last_results)
        return steps[asked.step]

    async with ModelServer(script) as server:
        ended = await begun(program, server)
    assert (ended.code, ended.json["text"]) == (0, "one story"), ended.err
    [child] = [p.name for p in (program.data / "events").iterdir() if p.name.startswith("rlp_")]
    worked, stands, begun_again = seen
    assert f"ralph {child}: completed" in worked
    assert "1 of 1 stories pass" in stands
    assert "is there already" in begun_again
    assert (program.project / "src" / "US-001.txt").read_text() == "right US-001\n"
    assert json.loads((program.project / "prd.json").read_text())["user_stories"][0]["passes"]


async def test_who_ends_the_parent_ends_its_child(program: Program) -> None:
    make_repository(program.project)
    model = Parent(swarm=SwarmModel(steps={"beta": [say("late", delay_s=600)]}))
    async with ModelServer(model) as server:
        process = await program.start(
            *("run", ASKED, "--format", "json"), *MODEL, CODETETHER_LOCAL_BASE_URL=server.url
        )
        async with asyncio.timeout(180):
            while ("beta", 0) not in model.swarm.asked:
                await asyncio.sleep(0.05)
        ended = await program.interrupted(process)
    assert ended.json["outcome"] == "cancelled", ended.err
    session, child = runs(program)
    ends = [r.event for r in records(program, child) if isinstance(r.event, RunFinished)]
    assert [e.outcome for e in ends] == ["cancelled"]
    told = [r.event for r in records(program, session) if isinstance(r.event, ChildRunFinished)]
    assert [e.outcome for e in told] == ["cancelled"]
    assert not (program.project / "alpha.txt").exists()


async def test_nothing_is_submitted_where_no_cluster_would_go_on(program: Program) -> None:
    make_project(program.project, user_stories=ONE_STORY)
    refused = await program.run(
        *("ralph", "submit", *MODEL), CODETETHER_LOCAL_BASE_URL="http://127.0.0.1:9/v1"
    )
    assert refused.code == 2
    assert "`codetether up`" in refused.err
    assert not (program.data / "events").exists()
