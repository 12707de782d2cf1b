"""What a run waits for: a spent quota to come back, seen by a person on a terminal and by none."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, fail, say, script_of
from tests.e2e.program import Program

MODEL = ("--model", "local/test-model")
SPENT = "Rate limit reached on requests per day (RPD): Limit 200, Used 200."
Script = Callable[[ModelCall], Reply]


def _quota_of_a_day(resets_in_s: float) -> Script:
    """A script whose first answer is that a day's quota is spent."""
    return script_of(fail(429, SPENT, retry_after_s=resets_in_s), say("it is back"))


async def test_a_spent_quota_is_waited_for_without_a_call_and_the_run_goes_on(
    program: Program,
) -> None:
    async with ModelServer(_quota_of_a_day(2)) as server:
        ended = await program.run(
            *("run", "hello", "--wait-quota", "1m", "--format", "stream-json", *MODEL),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        assert server.count == 2
    assert ended.code == 0, ended.err
    kinds = [line["kind"] for line in ended.lines]
    assert ended.lines[-1]["text"] == "it is back"
    waits = [line["payload"] for line in ended.lines if line["kind"] == "agent.queued"]
    assert [0 < wait["next_in_s"] <= 3 for wait in waits] == [True]
    outcomes = [
        line["payload"]["result"]["outcome"]
        for line in ended.lines
        if line["kind"] == "turn.finished"
    ]
    assert outcomes == ["waiting", "completed"]
    assert kinds.count("run.finished") == 1


async def test_without_leave_to_wait_a_spent_quota_ends_the_run_at_once_and_says_what_helps(
    program: Program,
) -> None:
    async with ModelServer(_quota_of_a_day(7200)) as server:
        ended = await program.run("run", "hello", *MODEL, CODETETHER_LOCAL_BASE_URL=server.url)
        assert server.count == 1
    assert ended.code == 1
    assert ended.out == ""
    assert "the quota is spent" in ended.err
    assert "it resets in 7200 s, and `--wait-quota TIME` waits for that" in ended.err


async def test_a_quota_that_comes_back_too_late_is_not_waited_for(program: Program) -> None:
    async with ModelServer(_quota_of_a_day(7200)) as server:
        ended = await program.run(
            *("run", "hello", "--wait-quota", "1h", *MODEL), CODETETHER_LOCAL_BASE_URL=server.url
        )
        assert server.count == 1
    assert ended.code == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (script_of(fail(429, "slow down", retry_after_s=2), say("done")), "retry 1 in 2"),
        (_quota_of_a_day(2), "for the provider's quota"),
    ],
    ids=["a busy provider", "a spent quota"],
)
async def test_a_terminal_sees_the_seconds_until_the_next_call(
    script: Script, said: str, program: Program
) -> None:
    async with ModelServer(script) as server:
        env = {**program.env, "CODETETHER_LOCAL_BASE_URL": server.url, "TERM": "xterm"}
        command = [sys.executable, "-m", "codetether_ray", "run", "hi", *MODEL]
        seen, code = await asyncio.to_thread(
            _on_a_terminal, [*command, "--wait-quota", "1m"], program.project, env
        )
    assert code == 0, seen
    assert said in seen
    assert re.search(r"again in [12] s", seen), seen


def _on_a_terminal(command: list[str], folder: Path, env: dict[str, str]) -> tuple[str, int]:
    """Run a command on a terminal of its own; what it shows, and its exit code."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        seen = bytearray()
        while chunk := _read(ours):
            seen += chunk
        os.close(ours)
    return seen.decode(), child.returncode


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side is closed
        return b""
