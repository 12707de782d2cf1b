"""Scenarios that are killed at a boundary and taken up again, and what is true afterwards.

All oracles are outside the process under test: the model server counts requests, the shell tool
appends to a tally file, git tells the tree, stdout of the killed process what it had announced.
"""

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.core.events import (
    ModelResponded,
    Record,
    RunFinished,
    SwarmFinished,
    ToolFinished,
)
from codetether_ray.journal.reader import read_records
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, calls, say
from tests.e2e.program import Ended, Program, make_program
from tests.e2e.swarm_scene import SwarmModel, main_tree, make_repository

_ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL
_PATIENCE_S = 60


class Forge:
    """The program, forked from a server that has it in memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forge"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._line() == "ready"

    async def run(self, program: Program, *arguments: str, **env: str) -> Ended:
        """Run a command line to its end, whatever ends it."""
        out, err = program.home.parent / "out", program.home.parent / "err"
        order = {
            "arguments": arguments,
            "env": {**program.env, **env},
            "cwd": str(program.project),
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        async with asyncio.timeout(_PATIENCE_S):
            done = json.loads(await asyncio.to_thread(self._line))
        return Ended(code=done["code"], out=out.read_text(), err=err.read_text())

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command that is killed, and the same work taken up again."""

    begin: tuple[str, ...]
    resume: tuple[str, ...]
    model: Callable[[Path], Callable[[ModelCall], Reply]]
    """Given the tally file."""
    tree: Callable[[Path], str]
    """What must be as in an undisturbed run."""
    prepare: Callable[[Path], None]
    answer: str


@dataclass(kw_only=True)
class Scene:
    """One scenario in a home of its own."""

    scenario: Scenario
    program: Program
    forge: Forge
    server: ModelServer
    tally: Path
    lives: list[Ended] = field(default_factory=list)

    async def begin(self, **env: str) -> Ended:
        return await self._live(self.scenario.begin, env)

    async def resume(self, **env: str) -> Ended:
        """Take it up again; what was killed before it was recorded is asked for again."""
        ended = await self._live(self.scenario.resume, env)
        if ended.code not in (0, KILLED) and not self.runs():
            ended = await self._live(self.scenario.begin, env)
        return ended

    async def _live(self, arguments: tuple[str, ...], env: Mapping[str, str]) -> Ended:
        url = {"CODETETHER_LOCAL_BASE_URL": self.server.url}
        ended = await self.forge.run(self.program, *arguments, **url, **env)
        self.lives.append(ended)
        return ended

    def runs(self) -> list[str]:
        """Runs with a record."""
        found = sorted(p.name for p in self.program.data.glob("events/*_*"))
        return [run for run in found if list(read_records(self.program.data, run))]

    @property
    def kills(self) -> int:
        return sum(life.code == KILLED for life in self.lives)

    def records(self) -> list[Record]:
        (run,) = self.runs()
        return list(read_records(self.program.data, run))


async def check(scene: Scene, tree: str) -> None:
    """The end of a scenario: as if nothing had been, but for what was told as interrupted."""
    last = scene.lives[-1]
    is_over = len(scene.lives) > 1 and "there is nothing to resume" in last.err
    assert last.code == 0 or is_over, f"it did not end well: {last.err}"
    told = json.dumps(_last_word(scene.records())) if is_over else last.out
    assert scene.scenario.answer in told
    assert not scene.server.refused
    assert scene.scenario.tree(scene.program.project) == tree
    records = scene.records()
    _announced_is_recovered(scene, records)
    _is_asked_once(scene, records)
    _has_effect_once(scene, records)
    _leaves_nobody(scene)
    audit = await scene.forge.run(scene.program, "audit", "verify")
    assert audit.code == 0, audit.err + audit.out


def _last_word(records: list[Record]) -> Any:
    """How the run ended, as its journal tells."""
    ends = [r.event for r in records if isinstance(r.event, (RunFinished, SwarmFinished))]
    assert ends, "it is over without an end"
    last = ends[-1]
    return dict(last.summary if isinstance(last, RunFinished) else last.result)


def _announced_is_recovered(scene: Scene, records: list[Record]) -> None:
    """What a killed process had told of durable records is what the journal holds."""
    assert [record.seq for record in records] == list(range(len(records)))
    for life in scene.lives:
        for line in life.out.split("\n")[:-1]:
            told = json.loads(line)
            if told.get("seq", -1) >= 0:
                kept = records[told["seq"]]
                assert (told["kind"], told["agent"]) == (kept.event.tag, kept.agent), "acked, lost"


def _is_asked_once(scene: Scene, records: list[Record]) -> None:
    """A request is repeated only where a process died in it."""
    answered = sum(isinstance(r.event, ModelResponded) for r in records)
    agents = len({r.agent for r in records if isinstance(r.event, ModelResponded)})
    in_flight = 1 if agents == 1 else agents
    assert answered <= scene.server.count <= answered + scene.kills * in_flight
    repeated = sum(count - 1 for count in scene.server.digests.values())
    assert repeated <= scene.kills * in_flight


def _has_effect_once(scene: Scene, records: list[Record]) -> None:
    """The shell ran once for each call; a call that was cut off may have run, and was told."""
    shell = [
        r.event
        for r in records
        if isinstance(r.event, ToolFinished) and r.event.result.name == "bash"
    ]
    finished = sum(not event.interrupted for event in shell)
    ran = scene.tally.read_text().count("\n") if scene.tally.exists() else 0
    assert finished <= ran <= len(shell), f"{ran} effects of {len(shell)} calls"
    ids = Counter((r.agent, r.event.result.call_id) for r in records if _is_result(r))
    assert max(ids.values()) == 1, "a call has two results"


def _is_result(record: Record) -> bool:
    return isinstance(record.event, ToolFinished)


def _leaves_nobody(scene: Scene) -> None:
    """No process of the run is left."""
    marks = [f"CODETETHER_RUN={run}".encode() for run in scene.runs()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        assert not set(marks) & set(environ), f"process {process.name} is left"


@asynccontextmanager
async def staged(name: str, folder: Path, forge: Forge) -> AsyncIterator[Scene]:
    """A scenario with its model, ready to begin."""
    scenario = SCENARIOS[name]
    program = make_program(folder)
    scenario.prepare(program.project)
    tally = folder / "tally"
    async with ModelServer(scenario.model(tally)) as server:
        yield Scene(scenario=scenario, program=program, forge=forge, server=server, tally=tally)


async def play(scene: Scene, *points: str) -> None:
    """Be killed at each point in turn (`journal.flushed:3`), then go on to the end.

    A point that a life does not come by ends it as it would have ended.
    """
    ended: Ended | None = None
    for point in (*points, ""):
        env = {"CODETETHER_FAILPOINT": point} if point else {}
        if ended is None:
            ended = await scene.begin(**env)
        elif ended.code == KILLED:
            ended = await scene.resume(**env)
    assert ended is not None


@dataclass(frozen=True)
class Undisturbed:
    """What a scenario passes and leaves when nothing happens to it."""

    hits: Mapping[str, int]
    tree: str


async def record(name: str, folder: Path, forge: Forge, *killed_at: str) -> Undisturbed:
    """Play a scenario undisturbed, or its last life behind kills, and note the points passed."""
    log = folder / "points"
    async with staged(name, folder, forge) as scene:
        noted = {"CODETETHER_FAILPOINT_LOG": str(log)}
        for point in killed_at:
            first = not scene.lives
            env = {"CODETETHER_FAILPOINT": point}
            ended = await (scene.begin(**env) if first else scene.resume(**env))
            assert ended.code == KILLED, ended.err
        await (scene.resume(**noted) if killed_at else scene.begin(**noted))
        tree = scene.scenario.tree(scene.program.project)
        await check(scene, tree)
    return Undisturbed(hits(log), tree)


# -- the scenarios --------------------------------------------------------------------------------


def _shell(tally: Path, command: str) -> str:
    return f"echo ran >> {tally}; {command}"


def _worked(asked: ModelCall) -> list[str]:
    """Names of the calls that did what they were to do; one that was cut off did not."""
    results = [r for m in asked.messages for r in m.tool_results]
    return [r.name for r in results if not r.content.startswith("interrupted:")]


def _session_model(tally: Path) -> Callable[[ModelCall], Reply]:
    """Writes, runs the shell, reads, and does two things at once; repeats what was cut off."""

    def reply(asked: ModelCall) -> Reply:
        worked = _worked(asked)
        if "write_file" not in worked:
            return call("write_file", path="a.txt", content="a line\n" * 12_000)
        if "bash" not in worked:
            return call("bash", command=_shell(tally, "echo by the shell > shell.txt"))
        if "read_file" not in worked:
            return call("read_file", path="a.txt", limit=1)
        if worked.count("write_file") < 2:
            more = ("write_file", {"path": "b.txt", "content": "b\n"})
            return calls(more, ("read_file", {"path": "shell.txt"}))
        return say("All done.")

    return reply


def _files(project: Path) -> str:
    """Every file of the project."""
    found = sorted(p for p in project.rglob("*") if p.is_file() and ".git" not in p.parts)
    return "\n".join(f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in found)


def _swarm_model(tally: Path) -> Callable[[ModelCall], Reply]:
    plan = (
        {"name": "alpha", "instruction": "Do the work of alpha."},
        {"name": "beta", "instruction": "Do the work of beta."},
    )
    model = SwarmModel(plan=plan)

    def reply(asked: ModelCall) -> Reply:
        if model.who(asked) != "beta":
            return model(asked)
        if "bash" not in _worked(asked):
            return call("bash", command=_shell(tally, "echo by beta > beta.txt"))
        return say("beta is done")

    return reply


_MODEL = ("--model", "local/test-model")
_STREAM = ("--format", "stream-json")

SCENARIOS: Mapping[str, Scenario] = {
    "run": Scenario(
        begin=("run", "work", *_MODEL, *_STREAM),
        resume=("run", "--resume", *_STREAM),
        model=_session_model,
        tree=_files,
        prepare=make_repository,
        answer="All done.",
    ),
    "swarm": Scenario(
        begin=("swarm", "write both files", "--local", *_MODEL, *_STREAM),
        resume=("swarm", "--resume", "--local", *_STREAM),
        model=_swarm_model,
        tree=main_tree,
        prepare=make_repository,
        answer="All of it is done.",
    ),
}


def hits(log: Path) -> dict[str, int]:
    """How often each point was passed, as a recording tells."""
    names = log.read_text().split() if log.exists() else []
    return dict(sorted(Counter(names).items()))
