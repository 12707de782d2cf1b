"""The kill matrix: who is struck, when, how; see `kill_checks` for what has to be true afterwards.

The moment is chosen by `gates`: the model's answer, a tool, a worktree's setup or a merge waits
until the blow has fallen.
"""

import asyncio
import json
import os
import pty
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.gates import Gates, furnish
from tests.e2e.kill_checks import Aftermath, short
from tests.e2e.program import Ended, Program, make_program
from tests.e2e.ray_scene import processes_of
from tests.e2e.swarm_scene import SwarmModel, make_repository

Row = Literal["sub-agent", "raylet", "bus", "supervisor", "driver", "head"]
"""The supervisor is the journal's actor and the coordinator's: it stands for both rows."""
Column = Literal["model", "tool", "between", "merge"]
"""`between`: a turn is over, its successor's worktree is being made."""

LEASE_S = 3.0
TASK = "write the three files"
PLAN: tuple[dict[str, Any], ...] = (
    {"name": "alpha", "instruction": "Do the work of alpha."},
    {"name": "beta", "instruction": "Do the work of beta."},
    {"name": "gamma", "instruction": "Do the work of gamma.", "dependencies": ["alpha"]},
)
NAMES = [str(part["name"]) for part in PLAN]
QUESTION = "Carry this plan out?"
_TITLES: dict[Row, str] = {
    "sub-agent": "ray::SubAgent",
    "bus": "ray::LocalBus",
    "supervisor": "ray::Supervisor",
    "raylet": "/raylet/raylet ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the matrix; `strikes` times, the later ones while the run recovers."""

    row: Row
    column: Column
    blow: signal.Signals = signal.SIGKILL
    strikes: int = 1
    is_approved: bool = False
    """Whether somebody had to agree to the plan: once, whatever happens then."""

    def __str__(self) -> str:
        again = "" if self.strikes == 1 else f"-{self.strikes}-times"
        return f"{self.row}-{self.column}-{self.blow.name}{again}" + "-approved" * self.is_approved

    @property
    def ends_driver(self) -> bool:
        """Whether the driver's command ends with the blow."""
        is_kill = self.blow is signal.SIGKILL
        return self.row in ("raylet", "head") or (self.row == "driver" and is_kill)

    @property
    def where(self) -> tuple[str, ...]:
        """Where it goes on: beside a head that wakes up again, in the driver's own process."""
        is_own = self.row in ("raylet", "head")
        return ("--local",) if is_own and self.blow is signal.SIGSTOP else ()

    @property
    def repeats(self) -> int:
        """How many of its model calls an agent may ask again: those in flight when it died."""
        return 0 if self.row in ("bus", "driver") else self.strikes


def furnished(folder: Path) -> Program:
    """A program with gates and short leases, Ray's own on a node among them."""
    return furnish(
        make_program(folder),
        CODETETHER_LEASE_S=str(LEASE_S),
        RAY_health_check_period_ms="500",
        RAY_health_check_timeout_ms="1000",
        RAY_health_check_failure_threshold="3",
    )


@dataclass(kw_only=True)
class Scene:
    """One run that is disturbed."""

    cell: Cell
    program: Program
    model: SwarmModel = field(init=False)
    requests: list[ModelCall] = field(default_factory=list)
    seen: dict[int, tuple[str, str]] = field(default_factory=dict)
    struck: list[list[int]] = field(default_factory=list)
    run_id: str = ""
    said: str = ""
    """What the drivers said on stderr."""

    def __post_init__(self) -> None:
        make_repository(self.program.project)
        self._gates = Gates(self.program.home, self.cell.column, self.cell.strikes)
        self._tally.unlink(missing_ok=True)
        self.model = SwarmModel(plan=PLAN, steps={name: _steps(name) for name in NAMES})

    @property
    def _tally(self) -> Path:
        return self.program.home / "tally"

    def aftermath(self) -> Aftermath:
        """To look at, when it has ended."""
        return Aftermath(
            program=self.program,
            run_id=self.run_id,
            model=self.model,
            requests=self.requests,
            tally=self._tally,
            seen=self.seen,
            names=NAMES,
        )

    # -- the run ----------------------------------------------------------------------------------

    async def play(self, *options: str) -> dict[str, Any]:
        """Run the swarm, strike, have it go on where it does not by itself; its result."""
        async with ModelServer(self._script) as server:
            self.requests = server.requests
            env = {"CODETETHER_LOCAL_BASE_URL": server.url}
            words = ("swarm", TASK, "--format", "stream-json", "--model", "local/m", *options)
            driver, reading = await self._started(words, env)
            try:
                for number in range(self.cell.strikes):
                    if number and self.cell.ends_driver:
                        await asyncio.wait_for(reading, 300)
                        driver, reading = await self._resumed(env)
                    await self._strike(number, driver, reading)
                ended = await asyncio.wait_for(reading, 300)
                if ended.code != 0:
                    driver, reading = await self._resumed(env)
                    ended = await asyncio.wait_for(reading, 300)
            finally:
                if driver.returncode is None:  # the next cell shall not meet it
                    driver.kill()
        assert ended.code == 0, ended.err
        result: dict[str, Any] = ended.lines[-1]
        return result

    async def _started(
        self, words: Sequence[str], env: dict[str, str]
    ) -> tuple[asyncio.subprocess.Process, asyncio.Task[Ended]]:
        if not self.cell.is_approved:
            process = await self.program.start(*words, **env)
            assert process.stderr is not None
            return process, asyncio.create_task(self._read(process, process.stderr.read()))
        keyboard, terminal = pty.openpty()
        os.write(keyboard, b"y\n")  # for whoever asks first
        process = await self.program.start(*words, "--plan", terminal=terminal, **env)
        os.close(terminal)
        words_there = asyncio.to_thread(_all_of, keyboard)
        return process, asyncio.create_task(self._read(process, words_there))

    async def _resumed(
        self, env: dict[str, str]
    ) -> tuple[asyncio.subprocess.Process, asyncio.Task[Ended]]:
        """A driver that goes on; at its place there is nobody who could be asked anything."""
        words = ("swarm", "--resume", self.run_id, "--format", "stream-json")
        process = await self.program.start(*words, *self.cell.where, **env)
        assert process.stderr is not None
        return process, asyncio.create_task(self._read(process, process.stderr.read()))

    async def _read(self, process: asyncio.subprocess.Process, said: Any) -> Ended:
        """Read a driver's lines to its end."""
        assert process.stdout is not None
        errors = asyncio.ensure_future(said)
        out = b""
        while line := await process.stdout.readline():
            out += line
            data = json.loads(line)
            if data.get("seq", -1) >= 0:
                self.run_id = data["run_id"]
                self.seen[data["seq"]] = (data["agent"], data["kind"])
        await process.wait()
        err = (await errors).decode()
        self.said += err
        return Ended(code=process.returncode or 0, out=out.decode(), err=err)

    async def _script(self, request: ModelCall) -> Reply:
        who, step, column = self.model.who(request), request.step, self.cell.column
        reply = self.model(request)
        if who == "alpha" and step >= 1 and column == "model":
            await self._gates.hold()
        if (who, step) == ("beta", 1) and column in ("between", "merge") and self.cell.strikes:
            await self._gates.all_open()
        return reply

    # -- the blow ---------------------------------------------------------------------------------

    async def _strike(
        self, number: int, driver: asyncio.subprocess.Process, reading: asyncio.Task[Ended]
    ) -> None:
        reached = asyncio.create_task(self._gates.reached(number))
        await asyncio.wait({reached, reading}, return_when="FIRST_COMPLETED", timeout=90)
        if not reached.done():
            reached.cancel()
            words = reading.result().err if reading.done() else f"asked: {self.model.asked}"
            raise AssertionError(f"blow {number} never came: {words}")
        while not self.run_id:
            await asyncio.sleep(0.02)
        async with asyncio.timeout(180):  # who was struck just now may not have a successor yet
            while not (victims := self._victims(driver)):
                await asyncio.sleep(0.05)
        for pid in victims:
            _send(pid, self.cell.blow)
        self.struck.append(victims)
        if self.cell.blow is signal.SIGSTOP:
            await self._past_the_lease(victims)
        self._gates.open(number)
        if self.cell.blow is signal.SIGSTOP:
            for pid in victims:
                _send(pid, signal.SIGCONT)

    def _victims(self, driver: asyncio.subprocess.Process) -> list[int]:
        if self.cell.row == "driver":
            return [driver.pid]
        found = processes_of(self.program)
        if self.cell.row != "head":
            return [pid for pid, title in found.items() if _TITLES[self.cell.row] in short(title)]
        words = ("/raylet/raylet ", "/gcs_server ", "ray::")
        return [pid for pid, title in found.items() if any(w in short(title) for w in words)]

    async def _past_the_lease(self, pids: list[int]) -> None:
        """Wait until those who were stopped were replaced, or long enough that they could be."""
        leases = 1.2 if self.cell.row == "driver" else 2.0  # nobody replaces a driver
        deadline = time.monotonic() + leases * LEASE_S
        while time.monotonic() < deadline and any(_is_alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


def _steps(name: str) -> Sequence[Reply]:
    command = f'echo {name} >> "$HOME/tally"'
    if name == "alpha":
        command += ' && "$HOME/bin/hold" tool'
    return (
        call("write_file", path=f"{name}.txt", content=f"by {name}\n"),
        call("bash", command=command),
        say(f"{name} is done"),
    )


def _all_of(keyboard: int) -> bytes:
    """What is shown on a terminal until nobody has it any more."""
    out = b""
    with os.fdopen(keyboard, "rb", buffering=0) as shown:
        while True:
            try:
                chunk = shown.read(65_536)
            except OSError:  # EIO: the last process that had it has ended
                return out
            if not chunk:
                return out
            out += chunk


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
