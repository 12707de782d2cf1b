"""A session that outgrows its model's window, against a model behind real HTTP."""

import json
from itertools import count

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, calls, say
from tests.e2e.program import Program

WINDOW = 16_000
TASK = "Find the number 4711 in every listing, and remember: never touch main.py."
RULES = "Always answer in French."
STEPS = 16


def _is_summary(asked: ModelCall) -> bool:
    return "transcript" in asked.first_user_text


def _size(asked: ModelCall) -> int:
    return len(json.dumps(asked.body, ensure_ascii=False)) // 4


class Script:
    """Reads long listings, some of which no note can replace, until it has had enough."""

    def __init__(self) -> None:
        self.listings = count()

    def __call__(self, asked: ModelCall) -> Reply:
        if _is_summary(asked):
            return say("Done: listings were read. Next: go on.")
        number = next(self.listings)
        if number < STEPS:
            command = f"seq {number}00000 {number}00400"
            return calls(("bash", {"command": command}), text=f"{number}. {'I wonder. ' * 300}")
        return say("fini")


@pytest.mark.parametrize("wire", ["local", "anthropic"])
async def test_a_long_session_is_shortened_and_stays_valid_and_true_to_its_task(
    wire: str, program: Program
) -> None:
    (program.project / ".git").mkdir()
    (program.project / "AGENTS.md").write_text(RULES)
    async with ModelServer(Script()) as server:
        address = server.url if wire == "local" else server.anthropic_url
        await program.run("auth", "set", wire, stdin="sk-a-key-for-the-test\n")
        for key, value in (("base_url", address), ("context_window", str(WINDOW))):
            done = await program.run("config", "set", f"providers.{wire}.{key}", value)
            assert done.code == 0, done.err
        model = ("--model", f"{wire}/some-model")
        first = await program.run("run", TASK, *model)
        after = len(server.requests)
        second = await program.run("run", "and now?", "--continue", *model)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert server.refused == []  # no orphan results, whatever was cut
    assert "the conversation was shortened" in first.err
    assert any(_is_summary(each) for each in server.requests)
    steps = [each for each in server.requests if not _is_summary(each)]
    assert max(map(_size, server.requests)) < WINDOW
    assert max(map(_size, steps)) > WINDOW / 2  # the window is used
    assert all(TASK in each.first_user_text for each in steps)
    assert all(RULES in each.system for each in steps)
    assert len({each.system for each in steps}) == 1
    assert len({json.dumps(each.body["tools"]) for each in steps}) == 1
    assert len(server.requests) == after + 1
    before, last = steps[-2].messages, steps[-1].messages
    assert last[: len(before)] == before  # a continued session sends what it had sent
    assert "and now?" in last[-1].text
