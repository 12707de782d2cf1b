"""What the SDK's own server gets wrong, and ours does not (see the conformance page)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
import pytest_asyncio
from a2a.compat.v0_3 import a2a_v0_3_pb2 as old_wire
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc as old_grpc
from a2a.types import (
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    a2a_pb2_grpc,
)
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tests.adapters.a2a.world import World, metadata, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with opened(tmp_path_factory.mktemp("ingress")) as found:
        yield found


async def rpc(http: httpx.AsyncClient, method: str, params: Any, **more: Any) -> dict[str, Any]:
    """A JSON-RPC call's answer."""
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = await http.post("/a2a", json=body, **more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["id"] == 7
    return found


def said(id_: str = "", **more: Any) -> dict[str, Any]:
    """Parameters of `SendMessage`; another message each time, where it has no name."""
    id_ = id_ or uuid4().hex
    return {"message": {"messageId": id_, "role": "ROLE_USER", "parts": [{"text": "hi"}], **more}}


def said_long_ago(**more: Any) -> dict[str, Any]:
    """Parameters of `message/send`; another message each time."""
    parts = [{"kind": "text", "text": "hi"}]
    return {"message": {"messageId": uuid4().hex, "role": "user", "parts": parts} | more}


async def test_a_follow_up_with_the_task_alone_stays_in_its_context(world: World) -> None:
    async with world.http() as http:
        first = (await rpc(http, "SendMessage", said("tck-input-required")))["result"]["task"]
        for number in (1, 2):
            more = await rpc(
                http, "SendMessage", said(f"tck-input-required-{number}", taskId=first["id"])
            )
            assert more["result"]["task"]["contextId"] == first["contextId"]


async def test_grpc_refuses_a_version_that_it_does_not_speak(world: World) -> None:
    async with world.channel() as channel:
        stub = a2a_pb2_grpc.A2AServiceStub(channel)
        for version in ("99.0", "0.3", ""):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetTask(GetTaskRequest(id="x"), metadata=metadata(version=version))
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert reason_of(caught.value) == "VERSION_NOT_SUPPORTED"


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason in the error's rich status, which says the same as the plain one."""
    data = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    status = Status.FromString(data)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "a2a-protocol.org"
    return info.reason


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", ""])
async def test_another_content_type_is_not_supported(world: World, kind: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}})
    async with world.http() as http:
        headers = {"content-type": kind}
        answer = await http.post("/a2a", content=body, headers=headers)
        assert answer.json()["error"]["code"] == -32005
        answer = await http.post("/a2a/rest/message:send", content=body, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"


@pytest.mark.parametrize(
    "params",
    [None, [], "text", {}, {"message": {}}, {"message": {"role": "nobody"}}],
    ids=repr,
)
async def test_bad_parameters_of_an_old_method_are_told_as_such(world: World, params: Any) -> None:
    async with world.http(version="") as http:
        assert (await rpc(http, "message/send", params))["error"]["code"] == -32602
        assert (await rpc(http, "tasks/get", params))["error"]["code"] == -32602


async def test_an_old_part_has_to_say_what_it_is(world: World) -> None:
    async with world.http(version="") as http:
        for part in ({"text": "hi"}, {"kind": "song", "text": "hi"}):
            told = await rpc(http, "message/send", said_long_ago(parts=[part]))
            assert told["error"]["code"] == -32602


async def test_an_old_push_configuration_is_read_without_its_id_and_removed(
    world: World,
) -> None:
    async with world.http(version="") as http:
        task = (await rpc(http, "message/send", said_long_ago()))["result"]
        name = "tasks/pushNotificationConfig"
        config = {"url": "https://example.com/hook", "id": "c1"}
        made = await rpc(
            http, f"{name}/set", {"taskId": task["id"], "pushNotificationConfig": config}
        )
        assert made["result"]["pushNotificationConfig"]["url"] == config["url"]
        found = await rpc(http, f"{name}/get", {"id": task["id"]})
        assert found["result"]["pushNotificationConfig"]["id"] == "c1"
        gone = await rpc(
            http, f"{name}/delete", {"id": task["id"], "pushNotificationConfigId": "c1"}
        )
        assert gone == {"jsonrpc": "2.0", "id": 7, "result": None}
        assert (await rpc(http, f"{name}/list", {"id": task["id"]}))["result"] == []
        none = await rpc(http, f"{name}/get", {"id": task["id"]})
        assert none["error"]["code"] == -32001


async def test_old_grpc_takes_no_message_that_nobody_wrote(world: World) -> None:
    message = old_wire.Message(message_id="m", content=[old_wire.Part(text="hi")])
    async with world.channel() as channel:
        stub = old_grpc.A2AServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SendMessage(
                old_wire.SendMessageRequest(request=message), metadata=metadata(version="")
            )
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "role" in (caught.value.details() or "")


async def test_a_task_is_its_owners_on_every_transport(world: World) -> None:
    message = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text="hi")])
    async with world.channel() as channel, world.http() as http, world.http("bob-token") as bob:
        stub = a2a_pb2_grpc.A2AServiceStub(channel)
        sent = await stub.SendMessage(SendMessageRequest(message=message), metadata=metadata())
        found = await rpc(http, "GetTask", {"id": sent.task.id})
        assert found["result"]["id"] == sent.task.id
        assert (await rpc(bob, "GetTask", {"id": sent.task.id}))["error"]["code"] == -32001
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTask(GetTaskRequest(id=sent.task.id), metadata=metadata("bob-token"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_1_0_method_without_a_version_is_refused(world: World) -> None:
    async with world.http(version="") as http:
        assert (await rpc(http, "GetTask", {"id": "x"}))["error"]["code"] == -32009
        answer = await http.get("/a2a/rest/tasks/x")
        assert answer.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"
        answer = await http.get("/a2a/rest/tasks/x?A2A-Version=1.0")
        assert answer.status_code == 404


async def test_an_old_method_is_none_of_1_0(world: World) -> None:
    async with world.http() as http:
        assert (await rpc(http, "message/send", said_long_ago()))["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("", -32700),
        ('{"a": NaN}', -32700),
        ("[" * 100_000, -32700),
        ("\xff", -32700),
        ("[]", -32600),
        ("3", -32600),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "GetTask"}]', -32600),
        ('{"id": 1, "method": "GetTask"}', -32600),
        ('{"jsonrpc": "2.0", "id": {}, "method": "GetTask"}', -32600),
        ('{"jsonrpc": "2.0", "id": true, "method": "GetTask"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": "Nothing"}', -32601),
        ('{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": [1]}', -32602),
        ('{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "\\ud800"}}', -32602),
        ('{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": {}}}', -32602),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_a_hostile_body_has_its_code(world: World, body: str, code: int) -> None:
    async with world.http() as http:
        answer = await http.post(
            "/a2a", content=body.encode("latin-1"), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 200
        assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "data",
    ["1e999", "[" * 30 + "]" * 30, '{"a":' * 40 + "1" + "}" * 40],
    ids=["infinite", "lists", "objects"],
)
async def test_what_could_not_be_told_again_is_not_taken_in(world: World, data: str) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": said(metadata={"x": 0})}
    ).replace('{"x": 0}', f'{{"x": {data}}}')
    async with world.http() as http:
        answer = await http.post("/a2a", content=body, headers={"content-type": "application/json"})
        assert answer.json()["error"]["code"] == -32602


async def test_the_deepest_data_that_is_taken_in_is_told_on_every_transport(
    world: World,
) -> None:
    deep: Any = 1
    for number in range(22):  # the metadata itself is one more level
        deep = [deep] if number % 2 else {"a": deep}
    async with world.http() as http, world.channel() as channel:
        sent = await rpc(http, "SendMessage", said(metadata={"x": deep}))
        task = sent["result"]["task"]
        assert task["history"][0]["metadata"]["x"] == deep
        stub = a2a_pb2_grpc.A2AServiceStub(channel)
        found = await stub.GetTask(GetTaskRequest(id=task["id"]), metadata=metadata())
        assert found.history[0].metadata
        old = old_grpc.A2AServiceStub(channel)
        told = await old.GetTask(
            old_wire.GetTaskRequest(name=f"tasks/{task['id']}"), metadata=metadata(version="")
        )
        assert told.history[0].metadata


async def test_a_failing_agent_shows_no_trace_of_its_fault(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        world.parts.handler.on_get_task = _broken
        async with world.http() as http, world.channel() as channel:
            found = await rpc(http, "GetTask", {"id": "x"})
            assert found["error"]["code"] == -32603
            answer = await http.get("/a2a/rest/tasks/x")
            assert answer.status_code == 500
            stub = a2a_pb2_grpc.A2AServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetTask(GetTaskRequest(id="x"), metadata=metadata())
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            for text in (json.dumps(found), answer.text, str(caught.value)):
                assert "the secret of the house" not in text
                assert "Traceback" not in text


async def _broken(params: Any, context: Any) -> None:
    raise RuntimeError("the secret of the house")
