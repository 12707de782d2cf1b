"""`codetether run --resume`: what stopped goes on at its next step, as if nothing had been."""

import asyncio
import contextlib
import json
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.core.events import AgentContinued, ModelRequested, RunStarted, TurnStarted
from codetether_ray.core.usage import Usage
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
    async with asyncio.timeout(180):
        while not moment.exists():
            assert process.returncode is None, (await process.communicate())[1].decode()
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


@pytest.mark.matrix
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("place", ["journal.acked", "run.begun", "run.done", "model.responded"])
async def test_a_crash_at_any_boundary_repeats_at_most_the_call_in_flight(
    place: str, times: int, program: Program
) -> None:
    answers = {
        0: call("write_file", path="a.txt", content="hi\n"),
        1: call("read_file", path="a.txt"),
        2: say("All done."),
    }
    async with ModelServer(lambda asked: answers[asked.step]) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        armed = {**env, "CODETETHER_FAILPOINT": f"{place}:{times}"}
        ended = await program.run("run", "work", *MODEL, **armed)
        if ended.code == -signal.SIGKILL:  # some places are not passed so often
            again = await program.run("run", "--resume", **armed)
            ended = await program.run("run", "--resume", **env) if again.code else again
        assert (ended.code, ended.out) == (0, "All done.\n"), ended.err
        assert not server.refused
        assert server.count <= 3 + 2
        asked = Counter(json.dumps(r.body) for r in server.requests)
    assert len(asked) == 3  # whoever asked again sent the very same bytes
    assert (program.project / "a.txt").read_text() == "hi\n"


async def test_what_is_sent_after_a_resume_is_byte_for_byte_what_was_sent_before(
    program: Program,
) -> None:
    (program.project / "AGENTS.md").write_text("Use tabs.\n")
    moment = program.project / "second"

    async def reply(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("bash", command="echo one")
        if not moment.exists():
            moment.touch()
            return say("late", delay_s=600)
        return say("done")

    async with ModelServer(reply) as server:
        west = {"CODETETHER_LOCAL_BASE_URL": server.url, "TZ": "Pacific/Pago_Pago"}
        process = await program.start("run", "work", *MODEL, **west)
        async with asyncio.timeout(180):
            while not moment.exists():
                await asyncio.sleep(0.02)
        process.kill()
        await process.communicate()
        (program.project / "AGENTS.md").write_text("Use spaces, and say moo.\n")
        east = {"TZ": "Pacific/Kiritimati"}  # 25 hours ahead: it is always another day there
        ended = await resume(program, server, **east)
        assert (ended.code, ended.out) == (0, "done\n"), ended.err
        *_, before, after = server.requests
    assert json.dumps(after.body) == json.dumps(before.body)
    assert "Use tabs." in after.system


async def test_flags_given_now_hold_and_are_recorded(program: Program) -> None:
    async with ModelServer(lambda _: call("bash", command="date +%N")) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        first = await program.run(
            "run", "loop", "--max-steps", "2", "--format", "json", *MODEL, **env
        )
        session = first.json["session_id"]
        assert (first.code, first.json["outcome"]) == (1, "max_steps")
        assert first.json["resume"] == f"codetether run --resume {session} --max-steps 4"
        same = await resume(program, server, "--format", "json")
        assert (same.json["outcome"], server.count) == ("max_steps", 2)
        more = await resume(program, server, "--max-steps", "3", "--model", "local/other")
        assert (more.code, server.count) == (1, 3)
        assert [r.model for r in server.requests] == ["test-model", "test-model", "other"]
    tries = [
        r.event.command
        for r in read_records(program.data, session)
        if isinstance(r.event, RunStarted)
    ]
    assert [(t["max_steps"], t["model"]) for t in tries] == [
        (2, "local/test-model"),
        (2, "local/test-model"),
        (3, "local/other"),
    ]
    (continued,) = (
        r.event for r in read_records(program.data, session) if isinstance(r.event, AgentContinued)
    )
    assert (continued.spec.model, continued.spec.max_steps) == ("local/other", 3)


async def test_a_resumed_turn_has_what_its_budget_left(program: Program) -> None:
    dear = replace(call("bash", command="echo one"), usage=Usage(prompt_tokens=9_000))
    answers = [dear, say("done")]
    async with ModelServer(script_of(*answers)) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        limits = ("--max-tokens", "10000", *MODEL)
        first = await program.run("run", "work", *limits, "--format", "json", **env)
        assert (first.code, first.json["outcome"]) == (1, "budget"), first.err
        again = await resume(program, server, "--format", "json")
        assert (again.json["outcome"], server.count) == ("budget", 1)
        assert "with a higher --max-tokens or --budget" in again.err
        done = await resume(program, server, "--max-tokens", "100000")
        assert (done.code, done.out) == (0, "done\n"), done.err


async def test_a_second_resume_is_refused_with_who_holds_the_run(program: Program) -> None:
    moment = program.project / "begun"
    replies = [call("bash", command=f"touch {moment}; sleep 600"), say("done")]
    async with ModelServer(script_of(*replies)) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        process = await program.start("run", "work", *MODEL, **env)
        async with asyncio.timeout(180):
            while not moment.exists():
                await asyncio.sleep(0.02)
        (row,) = (await program.run("runs", "--json")).json
        second = await resume(program, server, row["id"])
        assert (second.code, second.out) == (1, "")
        assert f"is in use by process {process.pid} on " in second.err
        none = await resume(program, server)
        assert none.code == 2
        assert f"{row['id']} is running (process {process.pid} on " in none.err
        assert server.count == 1
        await program.interrupted(process)


async def test_a_stopped_run_is_taken_over_and_never_writes_again(program: Program) -> None:
    moment = program.project / "begun"
    replies = [call("bash", command=f"touch {moment}; sleep 600"), say("done")]
    async with ModelServer(script_of(*replies)) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url, "CODETETHER_LEASE_S": "1"}
        process = await program.start("run", "work", *MODEL, **env)
        async with asyncio.timeout(180):
            while not moment.exists():
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(180):
            while not (row := (await program.run("runs", "--json", **env)).json[0])["is_silent"]:
                await asyncio.sleep(0.1)
        assert row["resume"] == f"codetether run --resume {row['id']}"
        ended = await resume(program, server, CODETETHER_LEASE_S="1")
        assert (ended.code, ended.out) == (0, "done\n"), ended.err
        assert f"taken over from process {process.pid} on " in ended.err
        written = {p: p.read_bytes() for p in (program.data / "events" / row["id"]).glob("*.jsonl")}
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        await process.communicate()
    assert process.returncode != 0
    assert written == {p: p.read_bytes() for p in written}


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


async def test_a_turn_that_never_began_is_not_said_to_go_on(program: Program) -> None:
    async with ModelServer(script_of(say("one"), say("two"))) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        first = await program.run("run", "first", "--format", "json", *MODEL, **env)
        folder = program.data / "events" / first.json["session_id"]
        (segment,) = folder.glob("*.jsonl")
        kept = segment.read_bytes()
        words = 'ulimit -f 1; exec codetether run more --continue --format json "$@"'
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", words, "bash", *MODEL),
            cwd=program.project,
            env={**program.env, "PYTHONDONTWRITEBYTECODE": "1", **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 1, err
    assert out == b""
    assert b"--resume" not in err
    assert b"Traceback" not in err
    assert segment.read_bytes() == kept
