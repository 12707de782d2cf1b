"""The kill matrix: who is struck, when, how; and what has to be true afterwards.

The moment is chosen by gates: the model's answer, a tool, a worktree's setup or a merge waits on a
file until the blow has fallen. What is counted is counted outside of the program under test: by the
model server, by a tally file that a tool appends to, by git.
"""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from codetether_ray.core.events import is_durable
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Ended, Program
from tests.e2e.ray_scene import processes_of
from tests.e2e.swarm_scene import SwarmModel, git, make_repository, records

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
_TITLES: dict[Row, str] = {
    "sub-agent": "ray::SubAgent",
    "bus": "ray::LocalBus",
    "supervisor": "ray::Supervisor",
    "raylet": "/raylet/raylet ",
}
_STAYS = ("ray::IDLE", "ray::LocalBus", "ray::Registry", "ray::DashboardAgent", "ray::RuntimeEnv")
"""Processes of a shared head that outlive a run."""

_HOLD = """#!/bin/sh
# hold WHERE: wait for the blow, if this is the place of it
cd "$HOME/gates" || exit 0
[ "$(cat armed)" = "$1" ] || exit 0
n=$(ls | grep -c '^reached[.]')
[ "$n" -lt "$(cat strikes)" ] || exit 0
: > "reached.$n"
while [ ! -e "open.$n" ]; do sleep 0.02; done
"""
_GIT = """#!/bin/sh
case " $* " in *" merge-tree "*) "$HOME/bin/hold" merge ;; esac
exec {git} "$@"
"""
_SETUP = """#!/bin/sh
case "$PWD" in *gamma*) "$HOME/bin/hold" between ;; esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the matrix; `strikes` times, the later ones while the run recovers."""

    row: Row
    column: Column
    blow: signal.Signals = signal.SIGKILL
    strikes: int = 1

    def __str__(self) -> str:
        again = "" if self.strikes == 1 else f"-{self.strikes}-times"
        return f"{self.row}-{self.column}-{self.blow.name}{again}"


def furnish(program: Program, git_program: str) -> Program:
    """Put the gates' scripts into a program's home, and its `PATH`."""
    folder = program.home / "bin"
    folder.mkdir()
    for name, text in (("hold", _HOLD), ("git", _GIT.format(git=git_program)), ("setup", _SETUP)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    config = program.home / ".config" / "codetether-agent"
    config.mkdir(parents=True)
    (config / "config.toml").write_text(f'[workspace]\nsetup = "{folder / "setup"}"\n')
    env = {
        "PATH": f"{folder}{os.pathsep}{program.env['PATH']}",
        "CODETETHER_LEASE_S": str(LEASE_S),
        # Ray's own lease on a node, as short as ours
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
    }
    return replace(program, env={**program.env, **env})


@dataclass(kw_only=True)
class Scene:
    """One disturbed run."""

    cell: Cell
    program: Program
    model: SwarmModel = field(init=False)
    requests: list[ModelCall] = field(default_factory=list)
    seen: dict[int, tuple[str, str]] = field(default_factory=dict)
    """What drivers saw as durable: (agent, kind) by number."""
    struck: list[list[int]] = field(default_factory=list)
    run_id: str = ""

    def __post_init__(self) -> None:
        make_repository(self.program.project)
        self._gates.mkdir(exist_ok=True)
        for left in self._gates.iterdir():
            left.unlink()
        (self._gates / "strikes").write_text(str(self.cell.strikes))
        (self._gates / "armed").write_text(self.cell.column)
        self.tally.unlink(missing_ok=True)
        steps = {str(part["name"]): _steps(str(part["name"])) for part in PLAN}
        self.model = SwarmModel(plan=PLAN, steps=steps)

    @property
    def _gates(self) -> Path:
        return self.program.home / "gates"

    @property
    def tally(self) -> Path:
        return self.program.home / "tally"

    # -- the run ----------------------------------------------------------------------------------

    async def play(self, *options: str) -> dict[str, Any]:
        """Run the swarm, strike, have it go on where it does not by itself; its result."""
        async with ModelServer(self._script) as server:
            self.requests = server.requests
            env = {"CODETETHER_LOCAL_BASE_URL": server.url}
            words = ("swarm", TASK, "--format", "stream-json", "--model", "local/m", *options)
            process = await self.program.start(*words, **env)
            reading = asyncio.create_task(self._read(process))
            for number in range(self.cell.strikes):
                if number and self._ends_driver:
                    await asyncio.wait_for(reading, 120)
                    process = await self._resumed(env)
                    reading = asyncio.create_task(self._read(process))
                await self._strike(number, process, reading)
            ended = await asyncio.wait_for(reading, 120)
            if ended.code != 0:
                process = await self._resumed(env)
                ended = await asyncio.wait_for(self._read(process), 120)
        assert ended.code == 0, ended.err
        result: dict[str, Any] = ended.lines[-1]
        return result

    @property
    def _ends_driver(self) -> bool:
        """Whether the first driver's command ends with the blow."""
        is_kill = self.cell.blow is signal.SIGKILL
        return self.cell.row in ("raylet", "head") or (self.cell.row == "driver" and is_kill)

    async def _resumed(self, env: dict[str, str]) -> asyncio.subprocess.Process:
        words = ("swarm", "--resume", self.run_id, "--format", "stream-json")
        return await self.program.start(*words, **env)

    async def _read(self, process: asyncio.subprocess.Process) -> Ended:
        """Read a driver's lines to its end."""
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        out = b""
        while line := await process.stdout.readline():
            out += line
            data = json.loads(line)
            if data.get("seq", -1) >= 0:
                self.run_id = data["run_id"]
                self.seen[data["seq"]] = (data["agent"], data["kind"])
        await process.wait()
        code = process.returncode or 0
        return Ended(code=code, out=out.decode(), err=(await errors).decode())

    async def _script(self, request: ModelCall) -> Reply:
        who = (self.model.who(request), request.step)
        reply = self.model(request)
        if who == ("alpha", 1) and self.cell.column == "model":
            await self._hold()
        if who == ("beta", 1) and self.cell.column in ("between", "merge"):
            await self._until(f"open.{self.cell.strikes - 1}")
        return reply

    # -- gates ------------------------------------------------------------------------------------

    async def _hold(self) -> None:
        number = len(list(self._gates.glob("reached.*")))
        if number < self.cell.strikes:
            (self._gates / f"reached.{number}").touch()
            await self._until(f"open.{number}")

    async def _until(self, name: str) -> None:
        while not (self._gates / name).exists():
            await asyncio.sleep(0.02)

    async def _strike(
        self, number: int, driver: asyncio.subprocess.Process, reading: asyncio.Task[Ended]
    ) -> None:
        reached = asyncio.create_task(self._until(f"reached.{number}"))
        await asyncio.wait({reached, reading}, return_when="FIRST_COMPLETED", timeout=90)
        if not reached.done():
            reached.cancel()
            words = reading.result().err if reading.done() else f"asked: {self.model.asked}"
            raise AssertionError(f"blow {number} never came: {words}")
        while not self.run_id:
            await asyncio.sleep(0.02)
        victims = self._victims(driver)
        assert victims, f"nobody to strike: {processes_of(self.program)}"
        for pid in victims:
            _send(pid, self.cell.blow)
        self.struck.append(victims)
        if self.cell.blow is signal.SIGSTOP:
            await _past_the_lease(victims)
        (self._gates / f"open.{number}").touch()
        if self.cell.blow is signal.SIGSTOP:
            for pid in victims:
                _send(pid, signal.SIGCONT)

    def _victims(self, driver: asyncio.subprocess.Process) -> list[int]:
        if self.cell.row == "driver":
            return [driver.pid]
        found = processes_of(self.program)
        if self.cell.row != "head":
            return [pid for pid, title in found.items() if _TITLES[self.cell.row] in _short(title)]
        words = ("/raylet/raylet ", "/gcs_server ", "ray::")
        return [pid for pid, title in found.items() if any(w in _short(title) for w in words)]

    # -- what has to be true ----------------------------------------------------------------------

    def tree(self) -> str:
        """The tree hash of the run's merged branch."""
        return git(self.program.project, "rev-parse", f"{self._branch}^{{tree}}")

    @property
    def _branch(self) -> str:
        return f"codetether/{_short_id(self.run_id)}/main"

    def check_requests(self) -> None:
        """At most the call in flight of each killed agent was asked again."""
        answered = Counter(
            (r.agent, r.event.step, r.event.purpose)
            for r in records(self.program, self.run_id)
            if r.event.tag == "model.responded"
        )
        assert set(answered.values()) == {1}, answered
        extras: Counter[str] = Counter()
        for digest, times in Counter(r.digest for r in self.requests).items():
            asked = next(r for r in self.requests if r.digest == digest)
            extras[self.model.who(asked)] += times - 1
        kills_agents = self.cell.row not in ("bus", "driver")
        allowed = self.cell.strikes if kills_agents else 0
        assert all(times <= allowed for times in extras.values()), extras

    def check_events(self) -> None:
        """What a driver saw as durable is in the journal, as it was; numbers are dense."""
        kept = {r.seq: (r.agent, r.event.tag) for r in records(self.program, self.run_id)}
        assert sorted(kept) == list(range(len(kept)))
        lost = {seq: what for seq, what in self.seen.items() if kept.get(seq) != what}
        assert not lost
        assert all(is_durable(r.event) for r in records(self.program, self.run_id))

    def check_effects(self) -> None:
        """No call of a tool was done twice; each subtask was merged once."""
        told = Counter(self.tally.read_text().split())
        assert told == {str(part["name"]): 1 for part in PLAN}
        base = git(self.program.project, "rev-parse", "main")
        said = git(self.program.project, "log", "--format=%s", f"{base}..{self._branch}")
        merges = Counter(line for line in said.splitlines() if line.startswith("Merge "))
        assert merges
        assert set(merges.values()) == {1}, merges
        landed = Counter(
            r.event.id for r in records(self.program, self.run_id) if r.event.tag == "swarm.merged"
        )
        assert landed == {str(part["name"]): 1 for part in PLAN}

    async def check_processes(self) -> None:
        """No process of the run is left."""
        deadline = time.monotonic() + 20
        while left := self._left():
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.1)

    def _left(self) -> dict[int, str]:
        found = {pid: _short(t) for pid, t in processes_of(self.program).items()}
        is_mine = ("ray::", str(self.program.project), "bin/hold", "codetether swarm", "reaper")
        return {
            pid: title
            for pid, title in found.items()
            if any(word in title for word in is_mine) and not title.startswith(_STAYS)
        }


def _steps(name: str) -> Sequence[Reply]:
    command = f'echo {name} >> "$HOME/tally"'
    if name == "alpha":
        command += ' && "$HOME/bin/hold" tool'
    return (
        call("write_file", path=f"{name}.txt", content=f"by {name}\n"),
        call("bash", command=command),
        say(f"{name} is done"),
    )


def _short(title: str) -> str:
    """The program and its first words: a raylet's arguments name all it may start."""
    return title[:120] if title.startswith("ray::") else f"{title.split(' --')[0]} "


def _short_id(run_id: str) -> str:
    kind, _, number = run_id.split("_")
    return f"{kind}-{number}"


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


async def _past_the_lease(pids: list[int]) -> None:
    """Wait until those who were stopped were replaced, or long enough that they could have been."""
    deadline = time.monotonic() + 2 * LEASE_S
    while time.monotonic() < deadline and any(_is_alive(pid) for pid in pids):
        await asyncio.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
