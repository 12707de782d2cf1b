"""`codetether` on a terminal: a prompt that streams, and leaves nothing behind."""

import asyncio
import json
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codetether_ray.journal.listing import list_runs
from codetether_ray.testing.model_server import (
    ModelCall,
    ModelServer,
    Reply,
    Script,
    call,
    say,
    script_of,
    spoil,
)
from tests.e2e import ralph_scene, relay_scene
from tests.e2e.program import Program
from tests.e2e.relay_scene import RelayModel
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository
from tests.e2e.terminal import CTRL_C, CTRL_D, ENTER, TAB, Terminal, terminal


@asynccontextmanager
async def prompt(
    program: Program, script: Script, **env: str
) -> AsyncIterator[tuple[Terminal, ModelServer]]:
    """The prompt, ready for a line, and the model that answers it."""
    async with ModelServer(script) as server:
        env["CODETETHER_LOCAL_BASE_URL"] = server.url
        env["CODETETHER_DEFAULT_MODEL"] = "local/test-model"
        async with terminal(program, **env) as shown:
            await shown.sees("/help lists commands")
            await shown.sees(">")
            yield shown, server


async def leave(shown: Terminal) -> None:
    """Leave by Ctrl-D; the terminal is as it was. While a command still prints it may be lost."""
    ending = asyncio.create_task(shown.ended())
    while not ending.done():
        shown.press(CTRL_D)
        await asyncio.wait({ending}, timeout=5)
    assert await ending == 0
    assert shown.modes() == shown.first_modes


async def test_messages_are_turns_of_one_session(program: Program) -> None:
    script = script_of(
        call("write_file", path="a.txt", content="hi\n"), say("All done."), say("You are welcome.")
    )
    key = "sk-" + "ant-" + "a1b2c3d4" * 4
    async with prompt(program, script) as (shown, server):
        await shown.enter("write a.txt")
        await shown.sees("· write_file a.txt")
        await shown.sees("All done.")
        await shown.sees("completed · ")
        await shown.enter(f"thank you for {key}")
        await shown.sees("You are welcome.")
        await shown.sees("completed · ")
        shown.press("/sess", TAB)
        await shown.sees("> /sessions")
        shown.press(ENTER)
        await shown.sees("write a.txt")
        await shown.enter("/cost")
        await shown.sees("total: ")
        await leave(shown)
    assert (program.project / "a.txt").read_text() == "hi\n"
    assert len(server.requests) == 3
    assert "All done." in json.dumps(server.requests[-1].body)
    assert len(list_runs(program.data)) == 1
    history = program.data / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert key not in history.read_text()
    assert "thank you for [masked]" in history.read_text()


async def test_ctrl_c_clears_the_line_then_ends_the_turn_and_never_what_is_behind(
    program: Program,
) -> None:
    make_repository(program.project)
    swarm, may_plan = SwarmModel(), asyncio.Event()
    stalled = iter([STALLED])

    async def answer(request: ModelCall) -> Reply:
        if "stall" in request.first_user_text:
            return next(stalled, say("Back."))
        await may_plan.wait()
        return swarm(request)

    async with prompt(program, answer) as (shown, _):
        await shown.enter(f"/swarm --local --yes {TASK} &")
        await shown.sees("[1] planning")
        await shown.enter("stall now")
        await shown.sees("It begins")
        shown.press("half a line")
        await shown.sees("half a line")
        shown.press(CTRL_C)
        shown.press("other words")
        await shown.sees("other words")
        assert "stopping" not in shown.shown
        shown.press(CTRL_C)
        shown.press(CTRL_C)
        await shown.sees("stopping; Ctrl-C once more")
        await shown.sees("/resume takes the turn up again")
        shown.press(CTRL_C)
        await shown.sees("nothing is in front")
        await shown.enter("/resume")
        await shown.sees("Back.")
        may_plan.set()
        await shown.sees("[1] All of it is done.")
        await shown.sees("[1] branch: ")
        await leave(shown)
    outcomes = {run.kind: run.outcome for run in list_runs(program.data)}
    assert outcomes == {"swarm": "success", "session": "completed"}
    branch = shown.shown.partition("[1] branch: ")[2].split()[0]
    assert "alpha.txt" in git(program.project, "ls-tree", "--name-only", branch)


async def test_a_plan_is_asked_about_in_line_while_a_message_is_typed(program: Program) -> None:
    make_repository(program.project)
    may_plan, swarm = asyncio.Event(), SwarmModel()

    async def answer(request: ModelCall) -> Reply:
        if request.first_user_text.startswith("hello"):
            return say("Hello yourself.")
        await may_plan.wait()
        return swarm(request)

    async with prompt(program, answer) as (shown, _):
        await shown.enter(f"/swarm --local --plan {TASK} &")
        await shown.sees("[1] planning")
        shown.press("hello a")
        await shown.sees("hello a")
        may_plan.set()
        await shown.sees("[1] estimate: ")
        await shown.sees("1 question waiting")
        shown.press("gain", ENTER)
        await shown.sees("Hello yourself.")
        await shown.sees("Carry this plan out? a approve · d deny")
        await shown.enter("perhaps")
        await shown.sees("an answer is a approve · d deny")
        shown.press("d", ENTER)
        await shown.sees("[1] total: ")
        shown.process.send_signal(signal.SIGTERM)
        assert await shown.ended() == 130
        assert shown.modes() == shown.first_modes
    states = {run.kind: run.outcome for run in list_runs(program.data)}
    assert states["session"] == "completed"
    assert states["swarm"] == "cancelled"


async def test_a_run_ends_by_its_name_or_when_the_prompt_is_left_and_never_unasked(
    program: Program,
) -> None:
    make_repository(program.project)

    async def answer(_: ModelCall) -> Reply:
        await asyncio.sleep(300)
        return say("never")

    async with prompt(program, answer) as (shown, _):
        await shown.enter(f"/swarm --local --yes {TASK} &")
        await shown.sees("[1] planning")
        await shown.enter(f"/swarm --local --yes {TASK} again &")
        await shown.sees("[2] planning")
        first = next(run for run in list_runs(program.data) if run.title == TASK)
        ended = await program.run("cancel", first.id)
        assert ended.code == 0, ended.err
        await shown.sees("is stopped by another process")
        await shown.sees("[1] total: ")
        shown.press(CTRL_D)
        await shown.sees("1 job under way; it ends with this prompt. Wait, cancel")
        shown.press("s", ENTER)
        await shown.enter("/jobs")
        await shown.sees("[2] swm_")
        shown.press(CTRL_D)
        await shown.sees("w wait · c cancel · s stay")
        shown.press("c", ENTER)
        assert await shown.ended() == 0
        assert shown.modes() == shown.first_modes
    runs = list_runs(program.data)
    assert [(run.state, run.outcome) for run in runs] == [("finished", "cancelled")] * 2


async def test_an_objective_is_denied_redrafted_and_approved_in_line(program: Program) -> None:
    make_repository(program.project)
    model = RelayModel()
    async with prompt(program, model) as (shown, _):
        await shown.enter(f"/go 2 {relay_scene.TASK}")
        await shown.sees("objective: Words are counted")
        await shown.sees("Pursue this? a approve · d deny · e edit")
        shown.press("d", ENTER)
        await shown.sees("What do you want instead?")
        await shown.enter("count them twice")
        await shown.sees("objective: Words are counted")
        await shown.sees("Pursue this? a approve · d deny · e edit")
        shown.press("a", ENTER)
        await shown.sees("100%  three files are there")
        await shown.enter("/okr")
        await shown.sees("Words are counted")
        await leave(shown)
    (run,) = list_runs(program.data)
    assert (run.kind, run.outcome) == ("relay", "all_met")
    drafts = [words for name, *words in model.asked if name == "drafter"]
    assert len(drafts) == 2
    assert "count them twice" not in (program.data / "history").read_text()


async def test_a_prd_is_looked_at_and_worked_off(program: Program) -> None:
    stories = [{"id": "US-001", "title": "The core", "priority": 1}]
    ralph_scene.make_project(program.project, stories=stories)
    async with prompt(program, ralph_scene.RalphModel()) as (shown, _):
        await shown.enter("/ralph status")
        await shown.sees("left: 1 wave of 1")
        await shown.enter("/ralph --local prd.json")
        await shown.sees("1 of 1 stories passed")
        await shown.sees("total: 1 attempt")
        await leave(shown)
    (run,) = list_runs(program.data)
    assert (run.kind, run.outcome) == ("ralph", "completed")


async def test_a_terminal_that_is_closed_leaves_nothing_running(program: Program) -> None:
    make_repository(program.project)

    async def answer(_: ModelCall) -> Reply:
        await asyncio.sleep(300)
        return say("never")

    async with prompt(program, answer) as (shown, _):
        await shown.enter(f"/swarm --local --yes {TASK} &")
        await shown.sees("[1] planning")
        shown.hang_up()
        assert await shown.ended() == 130
    (run,) = list_runs(program.data)
    assert (run.state, run.outcome) == ("finished", "cancelled")


async def test_without_a_terminal_it_says_how_it_is_used(program: Program) -> None:
    ended = await program.run()
    assert ended.code == 2
    assert "Usage: codetether" in ended.out + ended.err


STALLED = spoil(say("It begins and goes on"), "stall", after=2)


async def test_an_objective_is_denied_approved_and_resumed_at_the_prompt(program: Program) -> None:
    make_repository(program.project)
    async with prompt(program, RelayModel()) as (shown, _):
        for title in ("First", "Second"):
            made = await program.run(
                *("okr", "create", "--title", title, "--target", "1", "--unit", "files"),
                *("--command", relay_scene.COUNT, "--json"),
            )
            assert made.code == 0, made.err
            run_id = made.json["run"]["id"]
            if title == "First":
                await shown.enter(f"/okr deny --id {run_id} --reason late")
                await shown.sees("denied: First")
        await shown.enter(f"/okr resume --id {run_id}")
        await shown.sees("was not approved")
        await shown.enter(f"/okr approve --id {run_id}")
        await shown.sees("[e]dit?")
        shown.press("a", ENTER)
        await shown.sees("approved: Second")
        await shown.enter(f"/okr resume --id {run_id}")
        await shown.sees("every key result is met")
        await leave(shown)
    runs = (await program.run("okr", "runs", "--json")).json["runs"]
    assert [(run["status"], run["outcome"]) for run in runs] == [
        ("denied", "denied"),
        ("completed", "all_met"),
    ]
