"""The prompt beside a head: its runs share one connection, and go on when it is left."""

import asyncio

import pytest

from codetether_ray.journal.listing import list_runs
from codetether_ray.testing.model_server import ModelCall, Reply, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import processes_of
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository
from tests.e2e.terminal import CTRL_D, ENTER
from tests.e2e.test_repl import prompt


@pytest.mark.matrix
async def test_runs_share_a_head_and_go_on_there_when_the_prompt_is_left(program: Program) -> None:
    make_repository(program.project)
    swarm, may_go_on = SwarmModel(), asyncio.Event()

    async def answer(request: ModelCall) -> Reply:
        if request.first_user_text.startswith("hello"):
            return say("Hello yourself.")
        await may_go_on.wait()
        return swarm(request)

    up = await program.run("up", "--memory", "2GB")
    assert up.code == 0, up.err
    try:
        async with prompt(program, answer) as (shown, _):
            await shown.enter(f"/swarm --yes {TASK} &")
            await shown.sees("[1] planning")
            await shown.enter("hello")
            await shown.sees("Hello yourself.")
            await shown.sees("completed · ")
            shown.press(CTRL_D)
            await shown.sees("1 job under way; it can go on without this prompt.")
            shown.press("l", ENTER)
            assert await shown.ended() == 0
            await shown.sees("it goes on; follow it with: codetether swarm --resume swm_")
            assert shown.modes() == shown.first_modes
            may_go_on.set()
            await ending(program)
    finally:
        await program.run("down")
    assert processes_of(program) == {}
    outcomes = {run.kind: run.outcome for run in list_runs(program.data)}
    assert outcomes == {"session": "completed", "swarm": "success"}


async def ending(program: Program) -> None:
    """Every run has come to its end."""
    async with asyncio.timeout(180):
        while any(run.state == "running" for run in list_runs(program.data)):
            await asyncio.sleep(0.2)
