"""Agents behind A2A tasks, in this process: real sessions, git and files, a scripted model."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from a2a.types import (
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)

from codetether_ray.a2a.agents import Order, Update
from codetether_ray.bootstrap.a2a import sessions, turns
from codetether_ray.bootstrap.a2a.agents import SessionAgents, open_agents
from codetether_ray.bootstrap.forget import forget_run
from codetether_ray.bootstrap.truth.address import LOCAL, Address
from codetether_ray.bootstrap.truth.place import LocalHome, truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.config.paths import find_paths
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.testing.model_server import (
    ModelCall,
    ModelServer,
    Reply,
    Script,
    call,
    calls,
    fail,
    say,
    script_of,
)

ANN = Principal(user_id="ann", roles=("operator",))
BOB = Principal(user_id="bob", roles=("operator",))


def _message(text: str, id: str = "m1", *more: Part) -> Message:
    return Message(message_id=id, role=Role.ROLE_USER, parts=[Part(text=text), *more])


def _order(message: Message, *, task: str = "t1", principal: Principal = ANN, **more: Any) -> Order:
    found = Task(id=task, context_id="c1", history=[message])
    return Order(task=found, message=message, principal=principal, **more)


@dataclass
class Seen:
    """What a client makes of the updates, as the protocol says."""

    updates: list[Update]

    @property
    def state(self) -> str:
        return TaskState.Name(self.last.status.state).removeprefix("TASK_STATE_").lower()

    @property
    def last(self) -> TaskStatusUpdateEvent:
        last = self.updates[-1]
        assert isinstance(last, TaskStatusUpdateEvent)
        return last

    @property
    def words(self) -> str:
        return "".join(part.text for part in self.last.status.message.parts)

    @property
    def progress(self) -> list[str]:
        return [
            part.text
            for update in self.updates[:-1]
            if isinstance(update, TaskStatusUpdateEvent)
            for part in update.status.message.parts
        ]

    @property
    def artifacts(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for update in self.updates:
            if isinstance(update, TaskArtifactUpdateEvent):
                artifact = update.artifact
                text = "".join(part.text or part.raw.decode() for part in artifact.parts)
                before = found.get(artifact.artifact_id, "") if update.append else ""
                found[artifact.artifact_id] = before + text
        return found


async def _all(agents: SessionAgents, order: Order) -> Seen:
    async with asyncio.timeout(60):
        return Seen([update async for update in agents.work(order)])


@dataclass
class Place:
    """A server's agents without a server."""

    agents: SessionAgents
    model: ModelServer
    data: Path

    @property
    def workspaces(self) -> list[Path]:
        return sorted(self.data.glob("contexts/*/*/work"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("CODETETHER_", "XDG_", "RAY_", "VAULT_", "OPA_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(data))
    return data


@asynccontextmanager
async def _place(
    data: Path, script: Script, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncIterator[Place]:
    async with ModelServer(script) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        reach = Reach(address=Address(value=LOCAL), truth=truth_here(data))
        agents = await open_agents(IngressOptions(model="local/test-model", **options), reach)
        try:
            yield Place(agents, model, data)
        finally:
            await agents.close()
    assert not model.refused


async def test_a_message_is_worked_on_in_a_workspace_of_its_own_and_ends_with_its_artifacts(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(
        calls(("write_file", {"path": "a.txt", "content": "hi\n"}), text="I begin."),
        call("bash", command="mkdir outbox && echo report > outbox/report.txt"),
        say("All of it is done, as you see in what I send."),
    )
    async with _place(data, script, monkeypatch) as place:
        seen = await _all(place.agents, _order(_message("write a.txt")))
        [work] = place.workspaces
        assert (work / "a.txt").read_text() == "hi\n"
    assert seen.state == "completed"
    assert seen.artifacts["response"] == "All of it is done, as you see in what I send."
    assert seen.artifacts["file-report.txt"] == "report\n"
    assert "+hi" in seen.artifacts["changes.patch"]
    assert "report" not in seen.artifacts["changes.patch"]
    assert seen.progress[0] == "write_file: a.txt"
    told = dict(seen.last.metadata)
    assert told["outcome"] == "completed"
    assert told["usage"]["total_tokens"] > 0
    assert str(told["session_id"]).startswith("ses_")


async def test_the_answer_streams_and_its_last_piece_is_marked(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "word " * 60
    async with _place(data, script_of(say(text, piece_delay_s=0.01)), monkeypatch) as place:
        seen = await _all(place.agents, _order(_message("talk")))
    pieces = [u for u in seen.updates if isinstance(u, TaskArtifactUpdateEvent)]
    assert len(pieces) > 1
    assert [p.append for p in pieces] == [False] + [True] * (len(pieces) - 1)
    assert [p.last_chunk for p in pieces] == [False] * (len(pieces) - 1) + [True]
    assert seen.artifacts == {"response": text}


async def test_the_next_message_of_a_context_goes_on_with_its_conversation_and_files(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(
        call("write_file", path="a.txt", content="one"),
        say("The word is rhubarb."),
        call("read_file", path="a.txt"),
        say("It was rhubarb."),
    )
    async with _place(data, script, monkeypatch) as place:
        first = await _all(place.agents, _order(_message("remember")))
        second = await _all(place.agents, _order(_message("recall", "m2"), task="t2"))
        assert len(place.workspaces) == 1
    assert "The word is rhubarb." in [m.text for m in place.model.requests[-1].messages]
    assert second.artifacts["response"] == "It was rhubarb."
    assert first.last.metadata["session_id"] == second.last.metadata["session_id"]


async def test_a_question_waits_for_its_answer_in_the_same_session(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(
        call("ask_user", question="Which one?", options=["red", "blue"]), say("Blue it is.")
    )
    async with _place(data, script, monkeypatch) as place:
        asked = await _all(place.agents, _order(_message("paint it")))
        done = await _all(place.agents, _order(_message("blue", "m2")))
    assert (asked.state, asked.words) == ("input_required", "Which one?\n1. red\n2. blue")
    assert (done.state, done.artifacts["response"]) == ("completed", "Blue it is.")
    assert [m.text for m in place.model.requests[-1].messages if m.role == "user"][-1:] == ["blue"]


async def test_equal_context_ids_of_two_owners_are_two_sessions(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _place(data, script_of(say("for Ann"), say("for Bob")), monkeypatch) as place:
        one = await _all(place.agents, _order(_message("my secret plan")))
        other = await _all(place.agents, _order(_message("and mine?"), principal=BOB))
        assert len(place.workspaces) == 2
    assert one.last.metadata["session_id"] != other.last.metadata["session_id"]
    assert "my secret plan" not in str(place.model.requests[-1].body)


async def test_cancel_ends_a_command_that_runs(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = script_of(call("bash", command="touch began; sleep 600"), say("never"))
    async with _place(data, script, monkeypatch) as place:
        order = _order(_message("wait"))
        work = asyncio.create_task(_all(place.agents, order))
        while not any((w / "began").exists() for w in place.workspaces):
            await asyncio.sleep(0.02)
            assert not work.done()
        await place.agents.cancel(order.task)
        seen = await work
    assert seen.state == "canceled"
    assert "response" not in seen.artifacts
    assert place.model.count == 1


async def test_cancel_of_one_that_waits_for_its_context_leaves_the_other_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def script(_: ModelCall) -> Reply:
        await go_on.wait()
        return say("first")

    async with _place(data, script, monkeypatch) as place:
        first = asyncio.create_task(_all(place.agents, _order(_message("one"))))
        while not place.model.count:
            await asyncio.sleep(0.01)
        order = _order(_message("two", "m2"), task="t2")
        second = asyncio.create_task(_all(place.agents, order))
        await asyncio.sleep(0.05)
        await place.agents.cancel(order.task)
        assert (await second).state == "canceled"
        go_on.set()
        assert (await first).artifacts["response"] == "first"
    assert place.model.count == 1


async def test_a_failure_says_what_failed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _place(data, script_of(fail(400, "no such engine")), monkeypatch) as place:
        seen = await _all(place.agents, _order(_message("go")))
    assert seen.state == "failed"
    assert "no such engine" in seen.words


async def test_a_limit_of_the_options_ends_a_turn_as_failed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(*[call("bash", command=f"echo {n}") for n in range(5)])
    async with _place(data, script, monkeypatch, max_steps=2) as place:
        seen = await _all(place.agents, _order(_message("go")))
    assert (seen.state, seen.words) == ("failed", "the limit of 2 steps is reached")


async def test_a_viewers_agent_reads_and_an_editors_writes_but_runs_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _place(data, lambda _: say("well"), monkeypatch) as place:
        for role in ("viewer", "editor", "operator", "nonsense"):
            someone = Principal(user_id=role, roles=(role,))
            seen = await _all(place.agents, _order(_message("go"), principal=someone))
    had = [{tool["function"]["name"] for tool in r.body["tools"]} for r in place.model.requests]
    viewer, editor, operator = had
    assert "read_file" in viewer
    assert not {"edit", "bash"} & viewer
    assert "edit" in editor
    assert not {"bash", "batch", "swarm", "task"} & editor
    assert {"bash", "swarm", "edit"} <= operator
    assert seen.state == "failed"  # the one without a role that is known
    assert "tools:read" in seen.words


async def test_files_come_into_the_inbox_and_nowhere_else(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (
        Part(raw=b"\x00pixels", filename="../../etc/x.png", media_type="image/png"),
        Part(url="https://example.org/big.zip"),
    )
    async with _place(data, script_of(say("seen")), monkeypatch) as place:
        seen = await _all(place.agents, _order(_message("look", "m1", *parts)))
        [work] = place.workspaces
        assert (work / "inbox" / "x.png").read_bytes() == b"\x00pixels"
    asked = place.model.requests[0].messages[-1].text
    assert "inbox/x.png (7 bytes, image/png)" in asked
    assert "nobody has opened: https://example.org/big.zip" in asked
    assert "changes.patch" not in seen.artifacts  # what came in is no change


async def test_an_inbox_that_leads_elsewhere_is_not_followed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    script = script_of(call("bash", command=f"ln -s {tmp_path}/elsewhere inbox"), say("done"))
    file = Part(raw=b"x", filename="x")
    async with _place(data, script, monkeypatch) as place:
        await _all(place.agents, _order(_message("link")))
        seen = await _all(place.agents, _order(_message("take", "m2", file), task="t2"))
    assert seen.state == "failed"
    assert "cannot be written into the workspace" in seen.words
    assert not list((tmp_path / "elsewhere").iterdir())


async def test_a_repository_is_cloned_and_the_users_checkout_is_not_touched(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    for words in (
        "init -q -b main",
        "-c user.name=u -c user.email=u@x commit -q --allow-empty -m one",
    ):
        subprocess.run(["git", *words.split()], cwd=repo, check=True)
    (repo / "mine.txt").write_text("not committed")
    before = _state(repo)
    script = script_of(
        call("bash", command="echo new > new.txt; git add -A; git commit -qm two; git remote -v"),
        say("done"),
    )
    async with _place(data, script, monkeypatch, directory=str(repo)) as place:
        seen = await _all(place.agents, _order(_message("change it")))
        [work] = place.workspaces
        head = (work / ".git" / "HEAD").read_text()
    assert "+new" in seen.artifacts["changes.patch"]
    assert head.startswith("ref: refs/heads/codetether/")
    assert _state(repo) == before
    result = place.model.requests[-1].messages[-1]
    assert "origin" not in result.text


def _state(repo: Path) -> tuple[str, ...]:
    asked = ("for-each-ref", "status --porcelain", "worktree list")
    said = [
        subprocess.run(["git", *words.split()], cwd=repo, check=True, capture_output=True)
        for words in asked
    ]
    return tuple(one.stdout.decode() for one in said)


async def test_a_client_that_takes_json_alone_gets_the_answer_as_data_and_no_patch(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(call("write_file", path="a", content="b"), say("fine"))
    async with _place(data, script, monkeypatch) as place:
        order = _order(_message("go"), output_modes=("application/json",))
        seen = await _all(place.agents, order)
    [artifact] = [u.artifact for u in seen.updates if isinstance(u, TaskArtifactUpdateEvent)]
    assert artifact.parts[0].data.struct_value["text"] == "fine"


async def test_a_known_key_in_a_message_reaches_neither_model_nor_journal(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(os.urandom(24)).decode()
    monkeypatch.setenv("CODETETHER_AUTH_TOKEN", key)
    async with _place(data, script_of(say("ok")), monkeypatch) as place:
        await _all(place.agents, _order(_message(f"my token is {key}")))
    assert key not in str(place.model.requests[0].body)
    files = [p for p in data.rglob("*") if p.is_file()]
    assert len(files) > 3
    assert not [p for p in files if key.encode() in p.read_bytes()]


async def test_the_server_may_close_in_the_middle_and_another_goes_on_without_a_repeated_call(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(
        call("bash", command="echo x >> began; sleep 600"),
        call("bash", command="wc -l < began"),
        say("It had begun once."),
    )
    order = _order(_message("work"))
    async with ModelServer(script) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        reach = Reach(address=Address(value=LOCAL), truth=truth_here(data))
        options = IngressOptions(model="local/test-model")
        first = await open_agents(options, reach)
        work = asyncio.create_task(_all(first, order))
        while not list(data.glob("contexts/*/*/work/began")):
            await asyncio.sleep(0.02)
        await first.close()
        with pytest.raises(asyncio.CancelledError):  # it has not ended, so nothing is told of it
            await work
        second = await open_agents(options, reach)
        seen = await _all(second, _order(_message("work"), is_taken_up=True))
        again = await _all(second, _order(_message("work"), is_taken_up=True))
        await second.close()
    assert seen.artifacts["response"] == again.artifacts["response"] == "It had begun once."
    assert model.count == 3


_KILLED = """
import asyncio, os, sys
from tests.adapters import test_a2a_agents as scene
from codetether_ray.ingress.options import IngressOptions
from pathlib import Path
async def main():
    truth = scene.truth_here(Path(sys.argv[1]))
    reach = scene.Reach(address=scene.Address(value="local"), truth=truth)
    agents = await scene.open_agents(IngressOptions(model="local/test-model"), reach)
    async for update in agents.work(scene._order(scene._message("work"))):
        pass
asyncio.run(main())
"""


async def test_a_task_whose_process_was_killed_is_taken_up_where_it_stopped(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        if asked.number == 0:
            return call("write_file", path="a.txt", content="kept")
        if asked.number == 1:
            stuck.set()
            await asyncio.sleep(600)
        return say("a.txt is written.")

    async with _place(data, script, monkeypatch) as place:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, str(data))
        async with asyncio.timeout(60):
            await stuck.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        [listed] = sessions.listed(LocalHome(data_dir=data), "ann", 10, 0)
        assert listed["state"] == "interrupted"
        seen = await _all(place.agents, _order(_message("work"), is_taken_up=True))
        [work] = place.workspaces
        assert (work / "a.txt").read_text() == "kept"
    assert (seen.state, seen.artifacts["response"]) == ("completed", "a.txt is written.")
    assert place.model.count == 3


async def test_a_session_that_is_forgotten_takes_its_workspace_along(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(call("write_file", path="a.txt", content="private"), say("done"))
    async with _place(data, script, monkeypatch) as place:
        seen = await _all(place.agents, _order(_message("go")))
        assert len(place.workspaces) == 1
        session = str(seen.last.metadata["session_id"])
        await asyncio.to_thread(forget_run, find_paths(os.environ), session, store=None, by="me")
        assert place.workspaces == []
        assert not [p for p in data.rglob("*") if p.is_file() and b"private" in p.read_bytes()]


async def test_more_messages_than_there_is_room_for_wait_and_are_all_done(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_MOST_HERE", 2)
    now = most = 0

    async def script(_: ModelCall) -> Reply:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        return say("done")

    async with _place(data, script, monkeypatch) as place:
        orders = [
            _order(
                _message(str(n), f"m{n}"),
                task=f"t{n}",
                principal=Principal(user_id=f"u{n}", roles=("viewer",)),
            )
            for n in range(6)
        ]
        seen = await asyncio.gather(*(_all(place.agents, order) for order in orders))
    assert {one.state for one in seen} == {"completed"}
    assert most == 2
