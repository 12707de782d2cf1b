"""`codetether top` beside a swarm that is under way: as text, as JSON, in a real terminal."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply
from tests.e2e.program import Program
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository

_WIDTH, _HEIGHT = 80, 20
_ENTER, _LEAVE, _CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


class HeldModel:
    """Answers the planner; everyone else waits until they may go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = asyncio.Event()
        self._model = SwarmModel()
        self._held: set[str] = set()

    async def __call__(self, request: ModelCall) -> Reply:
        who = self._model.who(request)
        if who in ("alpha", "beta") and request.step == 1:
            self._held.add(who)
            if len(self._held) == 2:
                self.waiting.set()
            await self.go_on.wait()
        return self._model(request)


@asynccontextmanager
async def held_swarm(program: Program) -> AsyncIterator[HeldModel]:
    """A swarm two of whose agents wait for their model, having written a file each."""
    model = HeldModel()
    async with ModelServer(model) as server:
        swarm = await program.start(
            "swarm",
            TASK,
            "--local",
            "--model",
            "local/m",
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        try:
            async with asyncio.timeout(180):
                await model.waiting.wait()
            yield model
        finally:
            model.go_on.set()
            await swarm.communicate()


async def test_what_is_under_way_is_told_as_text_and_as_json_and_then_as_over(
    program: Program,
) -> None:
    async with held_swarm(program):
        told = await program.run("top", "--once", "--json")
        shown = await program.run("top", "--once", COLUMNS="80")
    assert told.code == shown.code == 0, told.err + shown.err
    picture = told.json
    (run,) = picture["runs"]
    agents = {agent["name"]: agent for agent in run["agents"]}
    assert (run["state"], run["phase"], run["subtasks"]) == ("running", "working", 4)
    assert (agents["alpha"]["state"], agents["alpha"]["doing"]) == ("running", "model")
    assert agents["planner"]["state"] == "completed"
    assert run["tokens"] == sum(agent["tokens"] for agent in agents.values()) > 0
    assert picture["source"] == "this machine"
    assert picture["nodes"][0]["memory_bytes"] > picture["nodes"][0]["free_memory_bytes"] > 0
    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert run["id"] in shown.out
    assert any("alpha" in line and "running" in line for line in lines)
    assert "\x1b" not in shown.out
    after = (await program.run("top", "--once", "--json")).json
    assert after["runs_live"] == 0
    assert [(r["id"], r["outcome"]) for r in after["runs"]] == [(run["id"], "success")]
    assert after["runs"][0]["tokens"] > run["tokens"]


async def test_in_a_terminal_it_draws_on_a_screen_of_its_own_and_leaves_nothing(
    program: Program,
) -> None:
    async with held_swarm(program):
        screen = await _Terminal.running(program, "top", "--every", "1s")
        await screen.until(b"alpha")
        await screen.until(b"beta")
        code = await screen.ended(signal.SIGINT)
    assert code == 0
    assert screen.seen.startswith(_ENTER)
    assert screen.seen.rindex(_LEAVE) > screen.seen.rindex(b"alpha")
    assert _CURSOR in screen.seen[screen.seen.rindex(b"alpha") :]
    assert screen.modes_before == screen.modes_after


async def test_a_terminal_that_goes_away_ends_it(program: Program) -> None:
    screen = await _Terminal.running(program, "top")
    await screen.until(b"nothing is under way")
    assert await screen.ended(signal.SIGTERM) == 0
    assert _LEAVE in screen.seen


async def test_json_goes_on_line_by_line_until_it_is_ended(program: Program) -> None:
    process = await program.start("top", "--json", "--every", "100ms")
    assert process.stdout is not None
    for _ in range(3):
        assert (await process.stdout.readline()).startswith(b'{"source": "this machine"')
    assert (await program.interrupted(process)).code == 0


class _Terminal:
    """A terminal of 80 x 20 with a command in it."""

    def __init__(self, master: int, process: asyncio.subprocess.Process, slave: int) -> None:
        self.seen = b""
        self._master, self._slave, self._process = master, slave, process
        self.modes_before = termios.tcgetattr(slave)
        self.modes_after: list[object] = []
        os.set_blocking(master, False)

    @classmethod
    async def running(cls, program: Program, *arguments: str) -> "_Terminal":
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _HEIGHT, _WIDTH, 0, 0))
        process = await asyncio.create_subprocess_exec(
            f"{program.env['PATH'].split(os.pathsep)[0]}/codetether",
            *arguments,
            cwd=program.project,
            env={**program.env, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        return cls(master, process, slave)

    async def until(self, words: bytes) -> None:
        """Read until some words were drawn."""
        async with asyncio.timeout(180):
            while words not in self.seen:
                self._read()
                await asyncio.sleep(0.05)

    async def ended(self, number: signal.Signals) -> int | None:
        """Send a signal, read to the end, give the exit code."""
        self._process.send_signal(number)
        async with asyncio.timeout(180):
            await self._process.wait()
        self._read()
        self.modes_after = termios.tcgetattr(self._slave)
        os.close(self._slave)
        os.close(self._master)
        return self._process.returncode

    def _read(self) -> None:
        try:
            while piece := os.read(self._master, 65536):
                self.seen += piece
        except BlockingIOError:
            return
