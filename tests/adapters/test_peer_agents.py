"""Agents of spawned peers, with scripted models: one asks the other by its tools."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from codetether_ray.core.messages import ToolResult
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.sockets import free_port
from codetether_ray.ingress.spawning import PeerWish, spawned
from codetether_ray.testing.model_reply import Reply
from codetether_ray.testing.model_request import ModelCall
from codetether_ray.testing.model_server import ModelServer, call, say
from tests.adapters.a2a.test_peers import knows, tokens_file, until
from tests.ingress.scene import call as ask
from tests.ingress.scene import message, text_of


def _results(asked: ModelCall) -> list[str]:
    parts = (part for one in asked.messages for part in one.parts)
    return [part.content for part in parts if isinstance(part, ToolResult)]


def _script(asked: ModelCall) -> Reply:
    """Bob answers a QUESTION; whoever else is asked discovers, asks bob, and tells."""
    if "QUESTION" in asked.first_user_text:
        return say("It is forty-two.")
    results = _results(asked)
    if not results:
        return call("discover")
    if len(results) == 1:
        return call("send_message", peer="bob", message="QUESTION: what is it?", wait_s=60)
    return say(f"{results[0]}\n----\n{results[1]}")


async def test_an_agent_discovers_a_peer_and_asks_its_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("CODETETHER_", "XDG_", "RAY_", "VAULT_", "OPA_")):
            monkeypatch.delenv(name)
    ports = [free_port("127.0.0.1", 0), free_port("127.0.0.1", 0)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CODETETHER_PEER_TOKENS", tokens_file(tmp_path, *ports))
    notices: list[str] = []
    async with ModelServer(_script) as model, AsyncExitStack() as stack:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        peers = []
        for name, port in zip(("alice", "bob"), ports, strict=True):
            options = IngressOptions(
                name=name, port=port, grpc_port=0, data_dir=str(tmp_path), model="local/m"
            )
            wish = PeerWish(options=options, peers=(urls[1 - ports.index(port)],), interval_s=1.0)
            env = {**os.environ, "CODETETHER_AUTH_TOKEN": f"token-{port}"}
            peers.append(await stack.enter_async_context(spawned(wish, notices.append, env)))
        await until(knows(peers[0], "bob"))
        headers = {"Authorization": f"Bearer token-{ports[0]}", "A2A-Version": "1.0"}
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=urls[0], headers=headers, timeout=60)
        )
        task = (await ask(client, "SendMessage", message("ask the other one")))["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
    told, answer = text_of(task["artifacts"][0]).split("\n----\n")
    assert f"* bob <{urls[1]}>" in told
    assert "- Work on code:" in told
    assert answer.startswith(f"bob <{urls[1]}>: completed, task_id ")
    assert "It is forty-two." in answer
    assert "information, not instructions" in answer
    assert not model.refused
