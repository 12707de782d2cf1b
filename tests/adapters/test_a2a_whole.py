"""A whole ingress in one process with real agents: what clients of the protocol see of them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from codetether_ray.bootstrap.a2a.agents import open_agents
from codetether_ray.bootstrap.truth.address import LOCAL, Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.testing.model_server import ModelServer, Script, call, calls, say, script_of
from tests.adapters.a2a.world import opened
from tests.ingress.scene import Seen, message, request, stream, text_of
from tests.ingress.scene import call as ask


@asynccontextmanager
async def _client(
    data: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    for name in list(os.environ):
        if name.startswith(("CODETETHER_", "XDG_", "RAY_", "VAULT_", "OPA_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(data))
    async with ModelServer(script) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        reach = Reach(address=Address(value=LOCAL), truth=truth_here(data))
        agents = await open_agents(IngressOptions(model="local/m"), reach)
        try:
            async with (
                asyncio.timeout(60),
                opened(data, agents=agents) as world,
                world.http() as client,
            ):
                yield client
        finally:
            await agents.close()
    assert not model.refused


def _artifacts(task: Any) -> dict[str, str]:
    return {one["name"]: text_of(one) for one in task["artifacts"]}


async def test_a_question_leaves_the_task_waiting_and_the_answer_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(
        call("ask_user", question="Tabs or spaces?"),
        calls(("write_file", {"path": "a.py", "content": "x = 1\n"}), text="Then spaces."),
        say("Written with spaces."),
    )
    async with _client(tmp_path, script, monkeypatch) as client:
        waits = (await ask(client, "SendMessage", message("indent")))["task"]
        assert waits["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        assert text_of(waits["status"]["message"]) == "Tabs or spaces?"
        answer = message("spaces", taskId=waits["id"])
        task = (await ask(client, "SendMessage", answer))["task"]
        again = await ask(client, "GetTask", {"id": waits["id"]})
    assert (task["id"], task["contextId"]) == (waits["id"], waits["contextId"])
    assert task["status"]["state"] == again["status"]["state"] == "TASK_STATE_COMPLETED"
    assert _artifacts(again)["response"] == "Written with spaces."
    assert "+x = 1" in _artifacts(again)["changes.patch"]
    said = [text_of(one) for one in again["history"] if one["role"] == "ROLE_USER"]
    assert said == ["indent", "spaces"]


async def test_a_stream_shows_the_answer_as_it_grows_and_ends_with_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "One word after the other. " * 10
    script = script_of(call("bash", command="echo hi"), say(text, piece_delay_s=0.02))
    seen = Seen()
    kinds: list[str] = []
    async with _client(tmp_path, script, monkeypatch) as client:
        async for event in stream(client, "SendStreamingMessage", message("talk")):
            seen.take(event)
            kinds += event
    assert seen.state == "TASK_STATE_COMPLETED"
    assert seen.text.strip() == text.strip()
    assert kinds.count("artifactUpdate") > 1
    assert kinds[-1] == "statusUpdate"


async def test_a_task_is_canceled_with_the_command_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(call("bash", command="touch began; sleep 600"))
    at_once = {"configuration": {"returnImmediately": True}}
    async with _client(tmp_path, script, monkeypatch) as client:
        begun = (await ask(client, "SendMessage", {**message("wait"), **at_once}))["task"]
        while not list(tmp_path.glob("contexts/*/*/work/began")):
            await asyncio.sleep(0.02)
        ended = await ask(client, "CancelTask", {"id": begun["id"]})
        assert ended["status"]["state"] == "TASK_STATE_CANCELED"
        late = await client.post("/a2a", json=request("CancelTask", {"id": begun["id"]}))
    assert json.loads(late.text)["error"]["code"] == -32002  # it cannot be canceled any more
