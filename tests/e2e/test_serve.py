"""`codetether serve` as a user runs it."""

import asyncio
import json
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from codetether_ray.testing.model_server import ModelServer, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import kill_titled, processes_of

ECHO = ("--agents", "codetether_ray.testing.echo:open_agents")


def two_ports() -> tuple[str, str]:
    """Two that are free now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1]), str(other.getsockname()[1])


def with_in_environment(secret: str) -> list[str]:
    """The command lines of all processes that were started with a secret in their environment."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if secret.encode() in (one / "environ").read_bytes():
                found.append((one / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


async def token_of(program: Program) -> str:
    shown = await program.run("auth", "token", "show-path")
    assert shown.code == 0, shown.err
    return Path(shown.out.strip()).read_text("utf-8").strip()


@pytest.mark.matrix
async def test_it_serves_until_it_is_interrupted_and_leaves_nothing(program: Program) -> None:
    port, grpc_port = two_ports()
    async with ModelServer(lambda _: say("good day")) as server:
        process = await program.start(
            *("serve", "--port", port, "--grpc-port", grpc_port, "--model", "local/m", "--json"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        assert process.stdout is not None
        async with asyncio.timeout(180):
            told = json.loads(await process.stdout.readline())
        assert (told["status"], told["port"]) == ("running", int(port))
        token = await token_of(program)
        assert token not in json.dumps(told)
        body = {
            "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
            "params": {"message": {
                "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "good morning"}],
            }},
        }  # fmt: skip
        headers = {"authorization": f"Bearer {token}", "a2a-version": "1.0"}
        async with httpx.AsyncClient(base_url=told["url"], timeout=60) as client:
            answer = await client.post("/a2a", json=body, headers=headers)
            assert (await client.post("/a2a", json=body)).status_code == 401
        assert answer.json()["result"]["task"]["artifacts"][0]["parts"][0]["text"] == "good day"
        second = await program.run("serve", "--port", "0", "--grpc-port", "0", *ECHO)
        assert (second.code, f"runs already, in process {process.pid}" in second.err) == (1, True)
        seen = await program.run("serve", "status", "--json")
        assert (seen.code, seen.json["url"]) == (0, told["url"])
        ended = await program.interrupted(process, signal.SIGINT)
    assert ended.code == 0, ended.err
    assert "draining" in ended.err
    assert not re.search(r"(?i)Traceback|raylet", ended.err)
    assert token not in ended.err
    assert processes_of(program) == {}


@pytest.mark.matrix
async def test_it_says_so_when_its_ray_dies(program: Program) -> None:
    secret = "another-token-of-the-user-s-own-choice"
    process = await program.start(
        *("serve", "--port", "0", "--grpc-port", "0", *ECHO, "--json"),
        CODETETHER_AUTH_TOKEN=secret,
    )
    assert process.stdout is not None
    async with asyncio.timeout(180):
        assert json.loads(await process.stdout.readline())["status"] == "running"
    has_token = with_in_environment(secret)
    assert [one for one in has_token if " serve " not in one] == []  # none of Ray's, the command's
    assert kill_titled(program, "gcs_server")
    async with asyncio.timeout(180):
        _, err = await process.communicate()
    assert process.returncode == 1
    last = err.decode().strip().splitlines()[-1]
    assert "died, its ingress with it" in last
    assert processes_of(program) == {}


@pytest.mark.matrix
async def test_it_stays_on_a_head_until_it_is_stopped(program: Program) -> None:
    port, grpc_port = two_ports()
    words = ("serve", "--port", port, "--grpc-port", grpc_port, *ECHO, "--detach")
    nothing = await program.run("serve", "status", "--json")
    assert (nothing.code, nothing.json) == (1, {"status": "none"})
    secret = "a-token-of-the-user-s-own-choice"
    try:
        started = await program.run(*words, timeout_s=300, CODETETHER_AUTH_TOKEN=secret)
        assert started.code == 0, started.err
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers = {"authorization": f"Bearer {secret}"}
            assert (await client.get("/api/version", headers=headers)).status_code == 200
        assert processes_of(program)
        assert with_in_environment(secret) == []
        status = await program.run("serve", "status", "--json")
        assert status.code == 0, status.err
        assert status.json["replicas"] == {"wanted": 1, "answering": 1}
        again = await program.run(*words, CODETETHER_AUTH_TOKEN=secret)
        assert (again.code, "runs already" in again.err) == (0, True), again.err
        other = await program.run(*words, "--name", "Another")
        assert (other.code, "codetether serve stop" in other.err) == (1, True), other.err
        stopped = await program.run("serve", "stop")
        assert (stopped.code, "ended" in stopped.out) == (0, True), stopped.err
        assert (await program.run("serve", "status")).code == 1
    finally:
        await program.run("down")
    assert processes_of(program) == {}
    for path in program.data.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
