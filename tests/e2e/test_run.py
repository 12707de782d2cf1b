"""`codetether run` as a process, against a model behind real HTTP."""

import asyncio
import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.core.messages import File, Image
from codetether_ray.testing.model_server import (
    ModelCall,
    ModelServer,
    Reply,
    call,
    fail,
    say,
    script_of,
    spoil,
)
from tests.e2e.program import Ended, Program

MODEL = ("--model", "local/test-model")


async def ask(program: Program, server: ModelServer, *arguments: str, **more: str) -> Ended:
    return await program.run(
        "run", *arguments, *MODEL, CODETETHER_LOCAL_BASE_URL=server.url, **more
    )


async def test_the_answer_is_on_stdout_and_everything_else_on_stderr(program: Program) -> None:
    script = script_of(call("write_file", path="a.txt", content="hi\n"), say("All done."))
    async with ModelServer(script) as server:
        ended = await ask(program, server, "write a.txt")
    assert (ended.code, ended.out) == (0, "All done.\n")
    assert (program.project / "a.txt").read_text() == "hi\n"
    assert "· write_file a.txt" in ended.err
    assert "completed · " in ended.err
    assert "codetether run --session ses_" in ended.err
    assert not server.refused


async def test_json_is_one_object_with_what_was_promised(program: Program) -> None:
    async with ModelServer(script_of(say("42"))) as server:
        ended = await ask(program, server, "what?", "--format", "json")
    assert ended.code == 0
    assert set(ended.json) == {"text", "session_id", "outcome", "usage", "cost_usd"}
    assert (ended.json["text"], ended.json["outcome"]) == ("42", "completed")
    assert ended.json["usage"]["total_tokens"] > 0


async def test_stream_json_is_nothing_but_json_lines(program: Program) -> None:
    script = script_of(call("bash", command="echo one; echo two >&2"), say("fine"))
    async with ModelServer(script) as server:
        ended = await ask(program, server, "go", "--format", "stream-json")
    kinds = [line["kind"] for line in ended.lines]
    assert kinds[0] == "run.started"
    assert kinds[-1] == "result"
    assert {"agent.started", "model.responded", "tool.started", "tool.finished"} <= set(kinds)
    assert "".join(x["payload"]["text"] for x in ended.lines if x["kind"] == "text") == "fine"
    assert ended.lines[-1]["text"] == "fine"


async def test_a_session_is_continued_by_flag_or_id_with_an_equal_prefix(
    program: Program,
) -> None:
    async with ModelServer(script_of(say("one"), say("two"), say("three"))) as server:
        first = await ask(program, server, "first", "--format", "json")
        second = await ask(program, server, "second", "--format", "json", "--continue")
        session = first.json["session_id"]
        third = await ask(program, server, "third", "--format", "json", "--session", session)
    assert second.json["session_id"] == third.json["session_id"] == session
    last = server.requests[-1]
    said = [m.text for m in last.messages if m.role == "assistant"]
    assert said == ["one", "two"]
    assert len({r.system for r in server.requests}) == 1
    assert len({json.dumps(r.body.get("tools")) for r in server.requests}) == 1


async def test_another_session_in_the_same_directory_is_left_alone(program: Program) -> None:
    async with ModelServer(script_of(say("one"), say("two"))) as server:
        first = await ask(program, server, "first", "--format", "json")
        second = await ask(program, server, "second", "--format", "json")
    assert first.json["session_id"] != second.json["session_id"]
    assert "first" not in str(server.requests[-1].body["messages"])


async def test_a_session_that_is_continued_elsewhere_says_where_it_works(
    program: Program, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with ModelServer(script_of(say("one"), say("two"), say("three"))) as server:
        first = await ask(program, server, "first", "--format", "json")
        other = replace(program, project=elsewhere)
        session = first.json["session_id"]
        second = await ask(other, server, "second", "--session", session)
        third = await ask(other, server, "third", "--continue", "--format", "json")
    assert f"the session works in {program.project}" in second.err
    assert "a new one begins" in third.err
    assert third.json["session_id"] != session


async def test_stdin_files_and_the_output_file(program: Program) -> None:
    (program.project / "note.md").write_text("# remember\n")
    (program.project / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    async with ModelServer(script_of(say("seen"))) as server:
        ended = await program.run(
            *("run", "-", "-f", "note.md", "-f", "dot.png", "-o", "answer.txt", *MODEL),
            stdin="look at these\n",
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
    assert ended.code == 0, ended.err
    assert (program.project / "answer.txt").read_text() == "seen"
    parts = [p for m in server.requests[0].messages if m.role == "user" for p in m.parts]
    sent = server.requests[0].first_user_text
    assert "look at these" in sent
    assert "# remember" in sent or any(isinstance(p, File) for p in parts)
    assert any(isinstance(p, Image) for p in parts)


async def test_an_answer_must_satisfy_the_output_schema(program: Program) -> None:
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer"}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    (program.project / "schema.json").write_text(json.dumps(schema))
    async with ModelServer(script_of(say("it is five"), say('{"sum": 5}'))) as server:
        ended = await ask(program, server, "2+3", "--output-schema", "schema.json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"sum": 5}
    assert server.count == 2


async def test_a_killed_run_is_interrupted_and_goes_on_without_asking_twice(
    program: Program,
) -> None:
    replies = [
        call("write_file", path="a.txt", content="hi\n"),
        call("bash", command="touch begun; sleep 600"),
        say("I see"),
    ]
    async with ModelServer(script_of(*replies)) as server:
        process = await program.start(
            *("run", "work", *MODEL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        async with asyncio.timeout(180):
            while not (program.project / "begun").exists():
                await asyncio.sleep(0.05)
        process.kill()
        await process.communicate()
        (row,) = (await program.run("runs", "--json")).json
        assert (row["state"], row["outcome"], row["model_calls"]) == ("interrupted", None, 2)
        with next(program.data.glob("events/*/*.jsonl")).open("ab") as file:
            file.write(b'{"run_id": "torn')
        ended = await ask(program, server, "go on", "--continue")
        assert (ended.code, ended.out) == (0, "I see\n"), ended.err
        assert server.count == 3
        assert not server.refused
    results = [r for m in server.requests[-1].messages for r in m.tool_results]
    assert len(results) == 2
    assert "its process died" in results[1].content
    assert server.requests[-1].messages[: len(server.requests[1].messages)] == (
        server.requests[1].messages
    )
    (row,) = (await program.run("runs", "--json")).json
    assert (row["state"], row["outcome"], row["model_calls"]) == ("finished", "completed", 3)


def _slow(_: ModelCall) -> Reply:
    return say("late", delay_s=600)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_cleanly_and_prints_how_to_go_on(
    number: signal.Signals, program: Program
) -> None:
    replies = iter([say("late", delay_s=600), say("now it works")])
    async with ModelServer(lambda _: next(replies)) as server:
        process = await program.start(
            *("run", "hello", "--format", "json", *MODEL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        async with asyncio.timeout(180):
            while not server.count:
                await asyncio.sleep(0.05)
        ended = await program.interrupted(process, number)
        assert ended.code == 130, ended.err
        assert ended.json["outcome"] == "cancelled"
        session = ended.json["session_id"]
        assert f"codetether run --resume {session}" in ended.err
        assert ended.json["resume"] == f"codetether run --resume {session}"
        again = await ask(program, server, "go on", "--session", session)
    assert (again.code, again.out) == (0, "now it works\n")


async def test_what_an_interrupted_answer_took_is_told(program: Program) -> None:
    async with ModelServer(lambda _: say("word " * 400, piece_delay_s=0.05)) as server:
        process = await program.start(
            *("run", "hello", "--format", "stream-json", *MODEL),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        assert process.stdout is not None
        async with asyncio.timeout(180):
            while b'"kind":"text"' not in await process.stdout.readline():
                pass
        ended = await program.interrupted(process)
    result = ended.lines[-1]
    assert (ended.code, result["outcome"]) == (130, "cancelled")
    assert result["usage"]["prompt_tokens"] > 0
    assert result["cost_usd"] is None  # something was used, and nobody knows its price
    runs = await program.run("runs", "--json")
    assert runs.json[0]["total_tokens"] == result["usage"]["total_tokens"]
    assert runs.json[0]["cost_usd"] is None


async def test_a_run_that_used_nothing_cost_nothing(program: Program) -> None:
    async with ModelServer(lambda _: fail(404, "no such model")) as server:
        ended = await ask(program, server, "hello", "--format", "json")
    assert (ended.json["usage"]["total_tokens"], ended.json["cost_usd"]) == (0, 0.0)
    runs = await program.run("runs", "--json")
    assert (runs.json[0]["total_tokens"], runs.json[0]["cost_usd"]) == (0, 0.0)


async def test_the_end_of_max_time_is_124(program: Program) -> None:
    async with ModelServer(_slow) as server:
        ended = await ask(program, server, "hello", "--max-time", "6")
    assert ended.code == 124
    assert "--max-time" in ended.err
    assert "codetether run --resume ses_" in ended.err


async def test_a_turn_out_of_steps_is_a_failure_and_says_so(program: Program) -> None:
    async with ModelServer(lambda _: call("bash", command="date +%N")) as server:
        ended = await ask(program, server, "loop", "--max-steps", "2", "--format", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "max_steps")


async def test_a_refused_key_ends_with_4_at_once(program: Program) -> None:
    async with ModelServer(lambda _: fail(401, "invalid key")) as server:
        ended = await ask(program, server, "hello")
        assert server.count == 1
    assert ended.code == 4
    assert ended.out == ""
    assert "codetether auth set" in ended.err


async def test_a_model_that_is_not_there_ends_with_1_at_once(program: Program) -> None:
    async with ModelServer(lambda _: fail(404, "no such model")) as server:
        ended = await ask(program, server, "hello")
        assert server.count == 1
    assert ended.code == 1
    assert "no such model; `codetether models --provider local` lists models" in ended.err


async def test_a_busy_provider_is_asked_again_and_the_wait_is_shown(program: Program) -> None:
    script = script_of(fail(429, "slow down", retry_after_s=1), say("there"))
    async with ModelServer(script) as server:
        ended = await ask(program, server, "hello")
    assert (ended.code, ended.out) == (0, "there\n")
    assert "retry 1 in 1" in ended.err


async def test_a_provider_that_stays_busy_fails_after_retry_for(program: Program) -> None:
    async with ModelServer(lambda _: fail(503, "overloaded")) as server:
        ended = await ask(program, server, "hello", "--retry-for", "1")
    assert ended.code == 1
    assert "overloaded" in ended.err


async def test_a_stream_that_breaks_is_asked_again_and_its_pieces_are_void(
    program: Program,
) -> None:
    script = script_of(spoil(say("half an answer " * 9), "drop", after=3), say("whole"))
    async with ModelServer(script) as server:
        ended = await ask(program, server, "hello")
    assert (ended.code, ended.out) == (0, "whole\n")


async def test_no_model_at_all_is_one_sentence_and_4(program: Program) -> None:
    ended = await program.run("run", "hello")
    assert (ended.code, ended.out) == (4, "")
    assert "codetether auth set" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "x", "--nonsense"),
        ("run",),
        ("run", "  ", *MODEL),
        ("run", "x", "--max-steps", "0"),
        ("run", "x", "--model", "nowhere/m"),
        ("run", "x", *MODEL, "--session", "ses_0000000000_00000000"),
        ("run", "x", *MODEL, "--session", "../../etc"),
        ("run", "x", *MODEL, "--budget", "1"),
        ("run", "x", *MODEL, "--continue", "--session", "y"),
        ("run", "x", *MODEL, "-f", "missing.txt"),
        ("run", "x", *MODEL, "-o", "missing/answer.txt"),
        ("run", "x", *MODEL, "--record", "missing/the.tape"),
    ],
)
async def test_wrong_usage_ends_with_2_and_leaves_nothing_behind(
    arguments: tuple[str, ...], program: Program
) -> None:
    ended = await program.run(*arguments)
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert not list(program.data.glob("events/*"))


async def test_a_reader_that_goes_away_leaves_no_noise(program: Program) -> None:
    script = script_of(*(call("bash", command=f"echo {n}") for n in range(3)), say("end"))
    async with ModelServer(script) as server:
        line = f"codetether run hi {' '.join(MODEL)} --format stream-json | head -n 1"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", line),
            cwd=program.project,
            env={**program.env, "CODETETHER_LOCAL_BASE_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(180):
            out, err = await process.communicate()
    assert json.loads(out)["kind"] == "run.started"
    said = [line for line in err.decode().splitlines() if not line.startswith("· bash")]
    assert said == []


async def test_a_token_budget_ends_the_turn_and_a_larger_one_goes_on(program: Program) -> None:
    async with ModelServer(script_of(say("one"), say("two"))) as server:
        first = await ask(program, server, "hello", "--max-tokens", "10", "--format", "json")
        assert server.count == 0
        again = await ask(program, server, "go on", "--continue", "--max-tokens", "100000")
    assert (first.code, first.json["outcome"]) == (1, "budget")
    assert again.code == 0


async def test_a_recorded_tape_replays_without_a_model(program: Program) -> None:
    script = script_of(call("write_file", path="a.txt", content="hi\n"), say("recorded"))
    async with ModelServer(script) as server:
        first = await ask(program, server, "do it", "--record", "the.tape")
    assert first.code == 0, first.err
    (program.project / "a.txt").unlink()
    again = await program.run("run", "do it", "--model", "tape/the.tape")
    assert (again.code, again.out) == (0, "recorded\n"), again.err
    assert (program.project / "a.txt").read_text() == "hi\n"
    other = await program.run("run", "do something else", "--model", "tape/the.tape")
    assert other.code == 1
    assert "departs from its tape" in other.err


async def test_a_question_of_the_agent_is_printed_with_the_way_to_answer_it(
    program: Program,
) -> None:
    script = script_of(call("ask_user", question="Tabs or spaces?"), say("Spaces it is."))
    async with ModelServer(script) as server:
        asked = await ask(program, server, "indent it")
        assert (asked.code, asked.out) == (3, "Tabs or spaces?\n")
        session = re.findall(r"ses_\w+", asked.err)[-1]
        assert f'answer: codetether run --session {session} "your answer"' in asked.err
        answered = await ask(program, server, "--session", session, "spaces")
    assert (answered.code, answered.out) == (0, "Spaces it is.\n")
    assert [m.text for m in server.requests[-1].messages if m.role == "tool"]
