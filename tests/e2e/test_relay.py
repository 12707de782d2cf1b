"""`codetether run "/autochat …"`: a team works by turns, in one process, behind real HTTP."""

import asyncio

import pytest

from codetether_ray.core.events import TurnDone
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, fail, say
from tests.e2e.program import Program
from tests.e2e.relay_scene import TASK, TEAM, RelayModel, run
from tests.e2e.swarm_scene import SwarmModel, checkout, git, make_repository, records

AUTOCHAT = f"/autochat 2 {TASK}"
KILLED = -9


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def test_a_team_works_by_turns_and_leaves_a_line_of_commits(program: Program) -> None:
    before = checkout(program.project)
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, AUTOCHAT, "--format", "json", "--rounds", "2")
        assert not server.refused
    assert ended.code == 0, ended.err
    result = ended.json
    assert (result["outcome"], result["status"]) == ("max_rounds", "max_rounds_reached")
    assert (result["agents"], result["turns"]) == (list(TEAM), 4)
    assert result["final_handoff"].startswith("auto-bob wrote a file in turn 1")
    assert result["okr_id"] is None
    assert result["usage"]["total_tokens"] > 0
    assert checkout(program.project) == before
    log = git(program.project, "log", "--format=%s", f"{result['base']}..{result['branch']}")
    assert log.splitlines() == [
        "relay: turn 4 by auto-bob",
        "relay: turn 3 by auto-ann",
        "relay: turn 2 by auto-bob",
        "relay: turn 1 by auto-ann",
    ]
    body = git(program.project, "log", "-1", "--format=%(trailers)", result["branch"])
    assert f"Relay-Id: {result['relay_id']}" in body
    names = git(program.project, "ls-tree", "--name-only", result["branch"]).split()
    assert {f"turn-{n}.out" for n in range(1, 5)} <= set(names)
    assert model.twice == []


async def test_further_rounds_go_on_with_a_relay_that_did_all_its_rounds(
    program: Program,
) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        first = await run(program, server, AUTOCHAT, "--format", "json", "--rounds", "1")
        relay_id = first.json["relay_id"]
        again = await run(program, server, "--resume", relay_id, "--format", "json")
        assert (again.json["turns"], len(model.asked)) == (2, 5), "as many rounds are no further"
        more = ("--resume", relay_id, "--rounds", "2", "--format", "json")
        further = await run(program, server, *more)
    assert f"codetether run --resume {relay_id} --rounds 2" in first.err
    assert (further.code, further.json["outcome"], further.json["turns"]) == (0, "max_rounds", 4)
    assert model.twice == []
    names = git(program.project, "ls-tree", "--name-only", further.json["branch"]).split()
    assert {f"turn-{n}.out" for n in range(1, 5)} <= set(names)


async def test_what_was_cleaned_up_is_no_hindrance_to_further_rounds(program: Program) -> None:
    async with ModelServer(RelayModel()) as server:
        first = await run(program, server, AUTOCHAT, "--format", "json", "--rounds", "1")
        assert (await program.run("cleanup", "--yes")).code == 0
        more = ("--resume", first.json["relay_id"], "--rounds", "2", "--format", "json")
        further = await run(program, server, *more)
    assert (further.code, further.json["turns"]) == (0, 4), further.err
    names = git(program.project, "ls-tree", "--name-only", further.json["branch"]).split()
    assert {f"turn-{n}.out" for n in range(1, 5)} <= set(names)


async def test_text_gives_the_last_handoff_and_the_rest_goes_to_stderr(program: Program) -> None:
    async with ModelServer(RelayModel()) as server:
        ended = await run(program, server, AUTOCHAT, "--rounds", "1")
    assert (ended.code, ended.out) == (0, "auto-bob wrote a file in turn 0\nSTATUS: open\n")
    for words in ("team: @auto-ann, @auto-bob", "turn 2 (round 1): @auto-bob", "git merge codet"):
        assert words in ended.err


async def test_merge_brings_it_into_the_users_branch(program: Program) -> None:
    git(program.project, "add", "--all")
    git(program.project, "commit", "--message=all")
    async with ModelServer(RelayModel()) as server:
        ended = await run(program, server, AUTOCHAT, "--rounds", "1", "--merge")
    assert ended.code == 0, ended.err
    assert (program.project / "turn-2.out").read_text() == "auto-bob\n"


async def test_a_message_that_only_looks_like_a_command_is_a_message(program: Program) -> None:
    async with ModelServer(lambda _: say("hello")) as server:
        ended = await run(program, server, "/autochatty hello")
    assert (ended.code, ended.out) == (0, "hello\n")


@pytest.mark.parametrize(
    ("message", "words"),
    [("/autochat", "needs a task"), ("/go 9 x", "2 to 8 agents"), ("/team", "/team needs a task")],
)
async def test_a_command_without_its_task_is_refused(
    program: Program, message: str, words: str
) -> None:
    ended = await program.run("run", message, "--model", "local/m")
    assert ended.code == 2
    assert words in ended.err


KILLS = ("turn.answered:1", "turn.committed:1", "turn.begun:2")
MORE_KILLS = ("team.recorded:1", "turn.recorded:1", "turn.advanced:3", "relay.recorded:1")


@pytest.mark.parametrize(
    "failpoint", [*KILLS, *(pytest.param(name, marks=pytest.mark.matrix) for name in MORE_KILLS)]
)
async def test_killed_anywhere_it_goes_on_under_its_id_and_repeats_no_call(
    program: Program, failpoint: str
) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        dead = await run(program, server, AUTOCHAT, "--rounds", "2", CODETETHER_FAILPOINT=failpoint)
        assert dead.code == KILLED
        listed = (await program.run("runs", "--json")).json
        relay_id = listed[0]["id"] if isinstance(listed, list) else listed["runs"][0]["id"]
        ended = await run(program, server, "--resume", relay_id, "--format", "json")
    assert ended.code == 0, ended.err
    result = ended.json
    assert (result["relay_id"], result["outcome"], result["turns"]) == (relay_id, "max_rounds", 4)
    assert model.twice == []
    assert len(model.asked) == 1 + 4 * 2
    turns = [r.event for r in records(program, relay_id) if isinstance(r.event, TurnDone)]
    assert [(t.turn, t.round, t.idx, t.member) for t in turns] == [
        (1, 1, 0, "auto-ann"), (2, 1, 1, "auto-bob"), (3, 2, 0, "auto-ann"), (4, 2, 1, "auto-bob"),
    ]  # fmt: skip


async def test_a_provider_that_fails_keeps_the_relay_and_says_how_to_go_on(
    program: Program,
) -> None:
    model = RelayModel(says={("auto-bob", 0): [fail(400, "no such thing")]})
    async with ModelServer(model) as server:
        ended = await run(program, server, AUTOCHAT, "--rounds", "1", "--format", "json")
        assert (ended.code, ended.json["outcome"]) == (1, "failed")
        assert ended.json["status"] == "agent_error"
        relay_id = ended.json["relay_id"]
        assert f"codetether run --resume {relay_id}" in ended.err
        model.says = {}
        again = await run(program, server, "--resume", relay_id, "--format", "json")
    assert (again.code, again.json["turns"]) == (0, 2)
    assert again.json["relay_id"] == relay_id


async def test_two_relays_at_once_do_not_meet(program: Program) -> None:
    async with ModelServer(RelayModel()) as server:
        both = await asyncio.gather(
            *(run(program, server, AUTOCHAT, "--rounds", "1", "--format", "json") for _ in "ab")
        )
    assert [each.code for each in both] == [0, 0], both[0].err + both[1].err
    one, two = (each.json for each in both)
    assert one["relay_id"] != two["relay_id"]
    assert one["branch"] != two["branch"]


async def test_a_member_may_have_a_swarm_do_its_part(program: Program) -> None:
    swarm = SwarmModel(plan=({"name": "alpha", "instruction": "Do the work of alpha."},))
    asks = [call("swarm", task="the work of alpha."), say("the swarm did it\nSTATUS: open")]
    relay = RelayModel(says={("auto-ann", 0): asks})

    def model(request: ModelCall) -> Reply:
        is_relay = "of a small team" in request.system or "You form small teams" in request.system
        return relay(request) if is_relay else swarm(request)

    async with ModelServer(model) as server:
        ended = await run(program, server, AUTOCHAT, "--rounds", "1", "--format", "json")
        assert not server.refused
    assert ended.code == 0, ended.err
    names = git(program.project, "ls-tree", "--name-only", ended.json["branch"]).split()
    assert {"alpha.txt", "turn-2.out"} <= set(names)
    assert git(program.project, "show", f"{ended.json['branch']}:alpha.txt") == "by alpha"


async def test_swarm_and_ralph_may_be_asked_for_in_a_message(program: Program) -> None:
    plan = ({"name": "alpha", "instruction": "Do the work of alpha."},)
    async with ModelServer(SwarmModel(plan=plan)) as server:
        ended = await run(program, server, "/swarm do it", "--address", "local", "--yes")
    assert (ended.code, ended.out) == (0, "alpha is done\n"), ended.err
    missing = await program.run("run", "/ralph no.json", "--model", "local/m")
    assert missing.code == 2
    assert "no.json" in missing.err


async def test_interrupted_in_a_turn_it_says_how_to_go_on_and_does(program: Program) -> None:
    slow = [say("never said", delay_s=60)]
    model = RelayModel(says={("auto-bob", 0): slow})
    async with ModelServer(model) as server:
        process = await program.start(
            *("run", AUTOCHAT, "--rounds", "1", "--format", "json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        while ("auto-bob", 0, 0) not in model.asked:
            await asyncio.sleep(0.05)
        ended = await program.interrupted(process)
        assert (ended.code, ended.json["outcome"], ended.json["turns"]) == (130, "interrupted", 1)
        model.says = {}
        again = await run(program, server, *ended.json["resume"].split()[2:], "--format", "json")
    assert (again.code, again.json["turns"]) == (0, 2), again.err
    assert again.json["relay_id"] == ended.json["relay_id"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((AUTOCHAT, "--continue"), "/autochat takes no --continue"),
        (("/swarm do it", "--rounds", "2"), "/swarm takes no --rounds"),
        (("/ralph", "--output", "x"), "/ralph takes no --output"),
        (("hello", "--merge", "--yes"), "--merge and --yes: only a message that is a command"),
    ],
)
async def test_options_that_would_do_nothing_are_refused(
    program: Program, arguments: tuple[str, ...], words: str
) -> None:
    ended = await program.run("run", *arguments, "--model", "local/m")
    assert ended.code == 2
    assert words in ended.err
