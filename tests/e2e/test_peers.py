"""`codetether spawn` and `codetether send` as people run them."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from codetether_ray.core.messages import ToolResult
from codetether_ray.testing.model_server import ModelServer, call, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import processes_of, ray_directories
from tests.e2e.terminal import CTRL_C, terminal
from tests.e2e.test_serve import two_ports

ECHO = ("--agents", "codetether_ray.testing.echo:open_agents")
ASKS = ("--agents", "codetether_ray.testing.kit_agent:open_old_agents")
TOKEN = {"CODETETHER_AUTH_TOKEN": "a-token"}


class Spawned:
    """A peer's process, and what it said when it answered."""

    def __init__(self, process: asyncio.subprocess.Process, told: dict[str, Any]) -> None:
        self.process, self.told = process, told
        self.url = str(told["url"])

    async def knows(self) -> list[str]:
        """The names of those it knows."""
        headers = {"Authorization": "Bearer a-token"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60) as client:
            told = (await client.get("/v1/peers")).json()
        return sorted(peer["name"] for peer in told["peers"])


async def spawn(
    stack: AsyncExitStack, program: Program, name: str, *more: str, **env: str
) -> Spawned:
    """A peer that answers; it is killed at the end if it still runs."""
    words = ("spawn", "--name", name, "--grpc-port", "0", "--json", *more)
    if "--port" not in more:
        words += ("--port", "0")
    process = await program.start(*words, **{**TOKEN, **env})
    stack.push_async_callback(_end, process)
    assert process.stdout is not None
    async with asyncio.timeout(180):
        line = await process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise AssertionError((await process.stderr.read()).decode())
    return Spawned(process, json.loads(line))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


def tokens(folder: Path, *urls: str) -> str:
    path = folder / "peer-tokens.json"
    path.write_text(json.dumps(dict.fromkeys(urls, "a-token")))
    path.chmod(0o600)
    return str(path)


def _asks_bob(asked: Any) -> Any:
    results = [
        part.content for one in asked.messages for part in one.parts if isinstance(part, ToolResult)
    ]
    if results:
        return say(results[-1])
    return call("send_message", peer="bob", message="ping", wait_s=60)


async def test_a_peer_answers_send_and_the_agent_of_a_run_without_ray_and_ends_in_peace(
    program: Program, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        bob = await spawn(stack, program, "bob", *ECHO)
        maps = Path(f"/proc/{bob.process.pid}/maps").read_text()
        assert "_raylet" not in maps
        wrong = await program.run("send", bob.url, "hello")
        assert (wrong.code, wrong.out) == (4, "")
        assert "CODETETHER_TOKEN" in wrong.err
        sent = await program.run("send", bob.url, "hello", "--json", CODETETHER_TOKEN="a-token")
        assert (sent.code, sent.json["text"], sent.json["state"]) == (0, "hello", "completed")
        async with ModelServer(_asks_bob) as model:
            ran = await program.run(
                "run", "ask bob", "--model", "local/m",
                CODETETHER_LOCAL_BASE_URL=model.url,
                CODETETHER_A2A_PEERS=bob.url,
                CODETETHER_PEER_TOKENS=tokens(tmp_path, bob.url),
            )  # fmt: skip
        assert ran.code == 0, ran.err
        assert f"bob <{bob.url}>: completed" in ran.out
        assert "\nping\n" in ran.out
        ended = await program.interrupted(bob.process)
    assert ended.code == 0, ended.err
    assert "a-token" not in ended.err + json.dumps(bob.told)
    assert bob.told["token_file"] is None


SECRET = "a-peers-own-token-7f3a"


@pytest.mark.matrix
async def test_an_agent_on_ray_finds_and_asks_a_peer_whose_token_is_in_nobody_s_arguments(
    program: Program, tmp_path: Path
) -> None:
    places: list[str] = []

    def script(asked: Any) -> Any:
        titles = processes_of(program).values()
        places.extend(title for title in titles if "ray::" in title)
        places.extend(title for title in titles if SECRET in title)
        for folder in (program.home, *ray_directories(program)):
            places.extend(holders(folder, SECRET))
        results = [
            part.content for m in asked.messages for part in m.parts if isinstance(part, ToolResult)
        ]
        if not results:
            return call("discover")
        if len(results) == 1:
            return call("send_message", peer="bob", message="ping", wait_s=60)
        return say("\n".join(results))

    async with AsyncExitStack() as stack:
        bob = await spawn(stack, program, "bob", *ECHO, CODETETHER_AUTH_TOKEN=SECRET)
        known = Path(tokens(tmp_path, bob.url))
        known.write_text(json.dumps({bob.url: SECRET}))
        async with ModelServer(script) as model:
            ran = await program.run(
                "run", "ask bob", "--ray", "--model", "local/m",
                CODETETHER_LOCAL_BASE_URL=model.url,
                CODETETHER_A2A_PEERS=bob.url,
                CODETETHER_PEER_TOKENS=str(known),
            )  # fmt: skip
    assert ran.code == 0, ran.err
    assert f"* bob <{bob.url}>" in ran.out
    assert "\nping\n" in ran.out
    assert any("ray::" in place for place in places), places
    assert not [place for place in places if "ray::" not in place]
    assert SECRET not in ran.err + ran.out


def holders(folder: Path, text: str) -> list[str]:
    """Files that hold a text in clear; of what is written and removed meanwhile, what was read."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.append(str(path))
        except OSError:
            continue
    return found


@pytest.mark.matrix
async def test_three_peers_find_each_other_and_one_that_is_killed_is_dropped(
    program: Program, tmp_path: Path
) -> None:
    numbers = [*two_ports(), two_ports()[0]]
    urls = [f"http://127.0.0.1:{number}" for number in numbers]
    env = {"CODETETHER_PEER_TOKENS": tokens(tmp_path, *urls)}
    async with AsyncExitStack() as stack, asyncio.timeout(180):
        peers = []
        for name, number in zip("abc", numbers, strict=True):
            more = ("--port", number, "--discovery-interval-secs", "1", *ECHO)
            seed = () if name == "a" else ("--peer", urls[0])
            peers.append(await spawn(stack, program, name, *more, *seed, **env))
        others = {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"]}
        for peer in peers:
            while await peer.knows() != others[peer.told["name"]]:
                await asyncio.sleep(0.1)
        peers[2].process.send_signal(signal.SIGKILL)
        for peer, left in ((peers[0], ["b"]), (peers[1], ["a"])):
            while await peer.knows() != left:
                await asyncio.sleep(0.2)
        for peer in peers[:2]:
            ended = await program.interrupted(peer.process)
            assert ended.code == 0
            assert ended.err.count("found c at") == 1  # introduced once
            assert ended.err.count("c at") == 2  # and gone once


@pytest.mark.matrix
async def test_a_question_is_asked_at_a_terminal_and_ctrl_c_leaves_the_task_waiting(
    program: Program,
) -> None:
    async with AsyncExitStack() as stack:
        bob = await spawn(stack, program, "bob", *ASKS)
        words = ("send", bob.url, "hi")
        async with terminal(program, *words, CODETETHER_TOKEN="a-token") as screen:
            await screen.sees("input required")
            await screen.sees("\n>")
            await screen.enter("an answer")  # at which it asks again
            await screen.sees("input required")
            screen.press(CTRL_C)
            assert await screen.ended() == 130
            await screen.sees("it waits for an answer")


@pytest.mark.matrix
async def test_a_name_and_a_port_that_are_taken_are_told_in_one_sentence(program: Program) -> None:
    async with AsyncExitStack() as stack:
        bob = await spawn(stack, program, "bob", *ECHO)
        again = await program.run("spawn", "--name", "bob", "--port", "0", *ECHO)
        assert (again.code, again.err.count("\n")) == (2, 1)
        assert "another --name" in again.err
        port = str(bob.told["port"])
        taken = await program.run("spawn", "--name", "eve", "--port", port, *ECHO)
        assert (taken.code, taken.err.count("\n")) == (1, 1)
        assert f"port {port}" in taken.err
