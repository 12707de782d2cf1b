"""`codetether send` against this project's app and the SDK's own server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from a2a.types import (
    Artifact,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.types import TaskStatus as Status

from codetether_ray.bootstrap.a2a.peer_desk import Peers
from codetether_ray.cli.send import command
from codetether_ray.cli.send_talk import Talk, Wanted
from codetether_ray.core.errors import PeerAccessError, PeerError
from codetether_ray.ports.peers import PeerMessage
from tests.adapters.a2a.world import opened

WORKING, DONE = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED
ASKING, CANCELED = TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_CANCELED


class Agents:
    """Talks in pieces; asks when it is told `ask`; waits for ever when it is told `wait`."""

    def __init__(self) -> None:
        self._stops: dict[str, asyncio.Event] = {}

    async def work(self, order: Any) -> AsyncIterator[Any]:
        task, text = order.task, order.message.parts[0].text
        stop = self._stops.setdefault(task.id, asyncio.Event())
        yield _status(task, WORKING)
        if text == "wait":
            await stop.wait()
            yield _status(task, CANCELED)
            return
        if text == "ask":
            yield _status(task, ASKING, "Tabs or spaces?")
            return
        for number, piece in enumerate(("You said ", f"{text}.", "\x1b[31m evil\n")):
            yield _piece(task, piece, append=number > 0)
        yield _status(task, DONE, f"You said {text}.\x1b[31m evil")

    async def cancel(self, task: Task) -> None:
        self._stops.setdefault(task.id, asyncio.Event()).set()

    async def close(self) -> None:
        pass


def _status(task: Task, state: Any, text: str = "") -> TaskStatusUpdateEvent:
    from a2a.types import Message, Role

    said = None
    if text:
        said = Message(message_id=uuid4().hex, role=Role.ROLE_AGENT, parts=[Part(text=text)],
                       task_id=task.id, context_id=task.context_id)  # fmt: skip
    return TaskStatusUpdateEvent(
        task_id=task.id, context_id=task.context_id, status=Status(state=state, message=said)
    )


def _piece(task: Task, text: str, *, append: bool) -> TaskArtifactUpdateEvent:
    artifact = Artifact(artifact_id=f"{task.id}-a", name="response", parts=[Part(text=text)])
    return TaskArtifactUpdateEvent(
        task_id=task.id, context_id=task.context_id, artifact=artifact, append=append
    )


async def sent(url: str, text: str = "", **more: Any) -> int:
    """The exit code of a `send`."""
    given = {"token": "alice-token", "answer_with": f"codetether send {url} 'YOUR ANSWER'", **more}
    act = given.pop("act", "send")
    async with asyncio.timeout(60):
        return await Talk(Wanted(url=url, act=act, text=text, **given)).do()


@pytest.mark.parametrize("transport", ["JSONRPC", "HTTP+JSON", "GRPC"])
@pytest.mark.parametrize("streams", [True, False])
async def test_what_the_agent_says_is_printed_without_what_steers_a_terminal(
    transport: str, streams: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, agents=Agents()) as world:
        assert await sent(world.url, "good day", transport=transport, streams=streams) == 0
    shown = capsys.readouterr()
    assert shown.out == "You said good day.\ufffd[31m evil\n"
    assert "completed" in shown.err
    assert "context" in shown.err


async def test_a_question_is_shown_with_the_command_that_answers_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, agents=Agents()) as world:
        assert await sent(world.url, "ask") == 3
        shown = capsys.readouterr()
        assert shown.out == "Tabs or spaces?\n"
        task_id = shown.err.strip().rpartition("--task ")[2]
        assert f"codetether send {world.url} 'YOUR ANSWER' --task {task_id}" in shown.err
        assert await sent(world.url, "tabs", task_id=task_id, as_json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["task_id"], told["state"]) == (task_id, "completed")
        assert told["text"].startswith("You said tabs.")
        assert await sent(world.url, act="get", task_id=task_id) == 0
        assert "You said tabs." in capsys.readouterr().out


async def test_a_task_that_is_not_wanted_any_more_is_canceled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, agents=Agents()) as world:
        for streams in (True, False):
            work = asyncio.create_task(sent(world.url, "wait", streams=streams))
            while "working" not in (seen := capsys.readouterr().err):
                await asyncio.sleep(0.02)
                if work.done():
                    await work
            work.cancel()
            assert await work == 1  # the command line makes 130 of it
            assert "canceled" in seen + capsys.readouterr().err


async def test_a_task_is_left_going_looked_at_and_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, agents=Agents()) as world:
        assert await sent(world.url, "wait", streams=False, waits=False, as_json=True) == 0
        shown = capsys.readouterr()
        task_id = json.loads(shown.out)["task_id"]
        assert f"--task {task_id} --get" in shown.err
        assert await sent(world.url, act="get", task_id=task_id) == 0
        assert await sent(world.url, act="cancel", task_id=task_id) == 0
        assert "canceled" in capsys.readouterr().err
        with pytest.raises(PeerError, match="refuses"):
            await sent(world.url, act="cancel", task_id=task_id)


async def test_a_card_is_shown_and_a_wrong_token_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, agents=Agents(), name="Ann") as world:
        assert await sent(f"{world.url}/a2a", act="card") == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"Ann  {world.url}\n")
        assert "JSONRPC 0.3" in shown
        for transport in ("JSONRPC", "HTTP+JSON", "GRPC"):
            for token, sentence in (("", "CODETETHER_TOKEN"), ("wrong", "not valid there")):
                with pytest.raises(PeerAccessError, match=sentence):
                    await sent(world.url, "x", token=token, transport=transport)
    with pytest.raises(PeerError, match="does not answer"):
        await sent(world.url, "x")


# -- the SDK's own server ------------------------------------------------------------------------


@asynccontextmanager
async def sdk_server(*, is_old: bool) -> AsyncIterator[str]:
    """The SDK's handler with its memory store, in version 1.0 or with a card of 0.3 alone."""
    import uvicorn
    from a2a.server.agent_execution import AgentExecutor
    from a2a.server.request_handlers import DefaultRequestHandler
    from a2a.server.routes import create_jsonrpc_routes
    from a2a.server.tasks import InMemoryTaskStore
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from codetether_ray.a2a.cards import CardFacts, card_json, old_card_json, public_card
    from codetether_ray.ingress.sockets import bound

    class Echo(AgentExecutor):
        async def execute(self, context: Any, event_queue: Any) -> None:
            task = Task(
                id=context.task_id,
                context_id=context.context_id,
                status=Status(state=TaskState.TASK_STATE_SUBMITTED),
                history=[context.message],
            )
            await event_queue.enqueue_event(task)
            await event_queue.enqueue_event(_status(task, WORKING))
            said = _piece(task, f"Echo: {context.get_user_input()}", append=False)
            await event_queue.enqueue_event(said)
            await event_queue.enqueue_event(_status(task, DONE))

        async def cancel(self, context: Any, event_queue: Any) -> None:
            pass

    sockets = bound("127.0.0.1", 0, shares=False)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    card = public_card(
        CardFacts(name="sdk", description="e", version="1", url=url, grpc_address="",
                  jsonrpc_path="/rpc")
    )  # fmt: skip
    shown = card_json(card)
    if is_old:
        shown = old_card_json(card)
        shown["url"], shown["additionalInterfaces"] = f"{url}/rpc", []

    async def answer(_: Any) -> JSONResponse:
        return JSONResponse(shown)

    handler = DefaultRequestHandler(Echo(), InMemoryTaskStore(), card)
    path = "/.well-known/agent.json" if is_old else "/.well-known/agent-card.json"
    routes = create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True)
    app = Starlette(routes=[Route(path, answer), *routes])
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield url
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("streams", [True, False])
async def test_an_agent_of_the_sdk_is_talked_with_in_both_versions(
    is_old: bool, streams: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sdk_server(is_old=is_old) as url:
        assert await sent(url, "hello", streams=streams, token="") == 0
    assert capsys.readouterr().out == "Echo: hello\n"


@pytest.mark.parametrize("is_old", [False, True])
async def test_the_desk_of_an_agent_talks_with_one_of_the_sdk_in_both_versions(
    is_old: bool, tmp_path: Path
) -> None:
    async with sdk_server(is_old=is_old) as url, asyncio.timeout(60):
        desk = Peers(tmp_path, {"CODETETHER_A2A_PEERS": url})
        message = PeerMessage(peer="sdk", text="hello", id="m-1", wait_s=20)
        done = await desk.send(message)
        assert (done.state, done.text) == ("completed", "Echo: hello")
        again = await desk.look(url, done.task_id, 0)
        assert (again.state, again.text) == (done.state, done.text)


# -- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://a"], "Missing argument 'MESSAGE'"),
        (["ftp://a", "x"], "no URL of an agent"),
        (["http://a", "--get"], "need --task"),
        (["http://a", "--get", "--cancel", "--task", "t"], "exclude each other"),
        (["http://a", "x", "--card"], "--card sends no message"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], sentence: str) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert sentence in result.output
