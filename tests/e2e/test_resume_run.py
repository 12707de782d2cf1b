"""`codetether run --resume`: what stopped goes on at its next step, as if nothing had been."""

import asyncio
from pathlib import Path

import pytest

from codetether_ray.core.events import ModelRequested, TurnStarted
from codetether_ray.journal.reader import read_records
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say, script_of
from tests.e2e.program import Ended, Program

MODEL = ("--model", "local/test-model")


async def resume(program: Program, server: ModelServer, *arguments: str, **env: str) -> Ended:
    return await program.run(
        "run", "--resume", *arguments, CODETETHER_LOCAL_BASE_URL=server.url, **env
    )


async def killed(program: Program, server: ModelServer, moment: Path, *arguments: str) -> None:
    """Start a run, wait until the file `moment` is there, and kill it."""
    process = await program.start(
        *("run", *arguments), *MODEL, CODETETHER_LOCAL_BASE_URL=server.url
    )
    async with asyncio.timeout(60):
        while not moment.exists():
            await asyncio.sleep(0.02)
    process.kill()
    await process.communicate()


async def test_a_run_killed_in_a_tool_goes_on_with_no_word_from_its_user(program: Program) -> None:
    replies = [
        call("write_file", path="a.txt", content="hi\n"),
        call("bash", command="touch begun; sleep 600"),
        say("I see"),
    ]
    async with ModelServer(script_of(*replies)) as server:
        await killed(program, server, program.project / "begun", "work")
        ended = await resume(program, server)
        assert (ended.code, ended.out) == (0, "I see\n"), ended.err
        assert server.count == 3
        assert not server.refused
    (run,) = (p.name for p in (program.data / "events").iterdir())
    assert f'{run} goes on ("work")' in ended.err
    turns = [r for r in read_records(program.data, run) if isinstance(r.event, TurnStarted)]
    assert len(turns) == 1
    steps = [
        r.event.step for r in read_records(program.data, run) if isinstance(r.event, ModelRequested)
    ]
    assert steps == [0, 1, 2]


async def test_a_finished_run_gives_its_recorded_result_without_a_model(program: Program) -> None:
    async with ModelServer(script_of(say("42"))) as server:
        first = await program.run(
            *("run", "what?", "--format", "json"), *MODEL, CODETETHER_LOCAL_BASE_URL=server.url
        )
    session = first.json["session_id"]
    again = await program.run("run", "--resume", session, "--format", "json")
    assert again.code == 0, again.err
    assert again.json == first.json
    none = await program.run("run", "--resume")
    assert none.code == 2
    assert f"nothing to resume: {session}, the newest session here, has finished" in none.err


def _never(_: ModelCall) -> Reply:
    return say("late", delay_s=600)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--resume",), "no session has been in this directory"),
        (("--resume", "ses_0000000000_00000000"), "no run 'ses_0000000000_00000000'"),
        (("--resume", "../../etc"), "no run '../../etc'"),
        (("--resume", "and now this"), "takes no text"),
        (("and now this", "--resume"), "takes no text"),
        (("--resume", "--continue"), "--continue says something new"),
        (("--session", "ses_0000000000_00000000", "--resume", "ses_0000000000_00000001"), "two"),
    ],
)
async def test_what_cannot_be_resumed_is_said_in_one_sentence(
    arguments: tuple[str, ...], words: str, program: Program
) -> None:
    ended = await program.run("run", *arguments)
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert words in ended.err
    assert not list(program.data.glob("events/*"))


@pytest.mark.damages_runs
async def test_a_damaged_newest_session_is_named_and_not_passed_over(program: Program) -> None:
    async with ModelServer(script_of(say("one"), say("two"))) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        older = await program.run("run", "first", "--format", "json", *MODEL, **env)
        newer = await program.run("run", "second", "--format", "json", *MODEL, **env)
        newest = newer.json["session_id"]
        (segment,) = (program.data / "events" / newest).glob("*.jsonl")
        text = segment.read_bytes()
        segment.write_bytes(text.replace(b'"agent.started"', b'"agent.stArted"'))
        ended = await program.run("run", "more", "--continue", *MODEL, **env)
        assert (ended.code, ended.out) == (1, "")
        assert f"the journal of {newest} is damaged at byte" in ended.err
        assert server.count == 2
        other = await program.run(
            "run", "more", "--session", older.json["session_id"], *MODEL, **env
        )
        assert server.count == 3
        assert other.code == 1  # the script has no more answers
