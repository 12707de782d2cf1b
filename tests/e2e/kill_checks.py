"""What has to be true after a run was disturbed, by what was counted outside of the program."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codetether_ray.bootstrap.verify import verify_run
from codetether_ray.core.events import is_durable
from codetether_ray.testing.model_server import ModelCall
from tests.e2e.program import Program
from tests.e2e.ray_scene import processes_of
from tests.e2e.swarm_scene import SwarmModel, git, records

_STAYS = (
    *("ray::IDLE", "ray::LocalBus", "ray::Registry", "ray::DashboardAgent", "ray::RuntimeEnv"),
    *("ray::fork_server", "ray::PoolActor", "ray::Node", "ray::Agents"),
)
"""Processes of a shared head that outlive a run; those of agents that nobody lives in any more."""


@dataclass(kw_only=True)
class Aftermath:
    """One disturbed run, when it has ended."""

    program: Program
    run_id: str
    model: SwarmModel
    requests: Sequence[ModelCall]
    tally: Path
    """The file to which each sub-agent's tool appended its name."""
    seen: Mapping[int, tuple[str, str]]
    """What drivers saw as durable: (agent, kind) by number."""
    names: Sequence[str] = field(default_factory=list)

    def tree(self) -> str:
        """The tree hash of the run's merged branch."""
        return git(self.program.project, "rev-parse", f"{self._branch}^{{tree}}")

    @property
    def _branch(self) -> str:
        kind, _, number = self.run_id.split("_")
        return f"codetether/{kind}-{number}/main"

    def check_requests(self, allowed: int) -> None:
        """Nothing was answered twice; each agent asked at most `allowed` calls again."""
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
        assert all(times <= allowed for times in extras.values()), extras

    def check_events(self) -> None:
        """What a driver saw as durable is in the journal, as it was; numbers are dense."""
        found = records(self.program, self.run_id)
        kept = {r.seq: (r.agent, r.event.tag) for r in found}
        assert [r.seq for r in found] == list(range(len(kept)))
        lost = {seq: what for seq, what in self.seen.items() if kept.get(seq) != what}
        assert not lost
        assert all(is_durable(r.event) for r in found)

    def check_effects(self, approvals: int = 0) -> None:
        """No call of a tool was done twice; each subtask was merged once; approved once, if so.

        A call that was not done (its shell was killed before it came to it) is told as interrupted.
        """
        once = dict.fromkeys(self.names, 1)
        found = records(self.program, self.run_id)
        told = self.tally.read_text().split()
        cut = [r.agent for r in found if r.event.tag == "tool.finished" and r.event.interrupted]
        undone = [name for name in self.names if name not in told and f"sub/{name}" in cut]
        assert Counter(told + undone) == once
        base = git(self.program.project, "rev-parse", "main")
        said = git(self.program.project, "log", "--format=%s", f"{base}..{self._branch}")
        merges = Counter(line for line in said.splitlines() if line.startswith("Merge "))
        assert merges
        assert set(merges.values()) == {1}, merges
        events = [r.event for r in found]
        assert Counter(e.id for e in events if e.tag == "swarm.merged") == once
        assert sum(e.tag == "approval" for e in events) == approvals

    def check_replay(self) -> None:
        """`replay --verify` passes."""
        verdict = verify_run(self.program.data, self.run_id)
        assert verdict.is_ok, [d.sentence() for d in verdict.departures]

    async def check_processes(self) -> None:
        """No process of the run is left."""
        deadline = time.monotonic() + 60
        while left := self._left():
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.1)

    def _left(self) -> dict[int, str]:
        found = {pid: short(t) for pid, t in processes_of(self.program).items()}
        is_mine = ("ray::", str(self.program.project), "bin/hold", "codetether swarm", "reaper")
        return {
            pid: title
            for pid, title in found.items()
            if any(word in title for word in is_mine) and not title.startswith(_STAYS)
        }


def short(title: str) -> str:
    """The program and its first words: a raylet's arguments name all it may start."""
    return title[:120] if title.startswith("ray::") else f"{title.split(' --')[0]} "
