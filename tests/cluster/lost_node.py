"""A swarm on several nodes, one of which is lost at a moment that is drawn by a seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.verify import verify_run
from codetether_ray.core.events import AgentPlaced, Record
from codetether_ray.journal.reader import read_records
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.cluster.nodes import HEAD, Nodes
from tests.e2e.program import Ended
from tests.e2e.swarm_scene import SwarmModel, git

AGENTS = 60
_CALLS = 3
"""Of the model, per agent."""
_TASK = "write a note about each of sixty parts"
_ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Scene:
    """One run; `seed` says when a node is lost and which, None that none is."""

    nodes: Nodes
    name: str
    seed: int | None
    agents: int = AGENTS
    model: SwarmModel = field(init=False)
    requests: Sequence[ModelCall] = ()
    lost: str = ""
    """Ray's id of the node that was lost."""
    told: str = ""
    """When that was, in words."""

    def __post_init__(self) -> None:
        names = [f"part{n:02}" for n in range(self.agents)]
        plan = [{"name": name, "instruction": f"Do the work of {name}."} for name in names]
        self.model = SwarmModel(plan=plan, steps={name: _steps(name) for name in names})
        self.program = self.nodes.program(self.name)
        repository(self.program.project)

    async def play(self, *options: str) -> dict[str, Any]:
        """Run it to its end; its result."""
        async with ModelServer(self._script(), host=self.nodes.gateway) as server:
            self.requests = server.requests
            ended = await self.program.run(
                *("swarm", _TASK, "--yes", "--json", "--model", "local/m"),
                *("--max-subagents", str(self.agents), *options),
                CODETETHER_LOCAL_BASE_URL=server.url,
                timeout_s=900,
            )
            assert not server.refused
        assert ended.code == 0, f"{self.told}: {ended.err}\n{_why(ended)}"
        result: dict[str, Any] = ended.json
        return result

    def _script(self) -> Any:
        if self.seed is None:
            return self.model
        drawn = random.Random(self.seed)
        blow = drawn.randrange(self.agents // 4, self.agents * _CALLS)
        victim = drawn.choice([name for name in self.nodes.nodes if name != HEAD])
        ids = self.nodes.alive()
        count = 0

        async def script(request: ModelCall) -> Reply:
            nonlocal count
            count += 1
            if count >= blow and not self.lost:
                self.lost = ids[victim]
                self.told = f"{victim} was lost at request {count} (seed {self.seed})"
                print(self.told)
                await asyncio.to_thread(self.nodes.lose, victim)
            return self.model(request)

        return script

    # -- what has to be true ----------------------------------------------------------------------

    def check(self, result: dict[str, Any]) -> None:
        """All was done, once; nothing was asked again but what was in flight on the lost node."""
        assert result["outcome"] == "success", self.told
        found = list(read_records(self.program.data, result["swarm_id"]))
        answered = Counter(
            (r.agent, r.event.step, r.event.purpose)
            for r in found
            if r.event.tag == "model.responded"
        )
        assert set(answered.values()) == {1}, self.told
        asked = Counter((self.model.who(r), r.step) for r in self.requests)
        again = Counter(who for who, times in asked.items() for _ in range(times - 1))
        by_agent = Counter(who for who, _ in again.elements())
        assert set(by_agent.values()) <= {1}, (self.told, again)
        struck = {agent for agent, nodes in self.places(found).items() if self.lost in nodes}
        assert {f"sub/{who}" for who in by_agent} <= struck, (self.told, again)
        verdict = verify_run(self.program.data, result["swarm_id"])
        assert verdict.is_ok, [d.sentence() for d in verdict.departures]

    def places(self, found: Sequence[Record]) -> dict[str, list[str]]:
        """On which nodes each sub-agent lived, by Ray's ids (the run's own is empty)."""
        out: dict[str, list[str]] = {}
        for record in found:
            if isinstance(record.event, AgentPlaced) and record.agent.startswith("sub/"):
                out.setdefault(record.agent, []).append(record.event.node)
        return out

    def records(self, result: dict[str, Any]) -> list[Record]:
        """The run's journal."""
        return list(read_records(self.program.data, result["swarm_id"]))

    def tree(self, result: dict[str, Any]) -> str:
        """The tree hash of the merged branch."""
        return git(self.program.project, "rev-parse", f"{result['branch']}^{{tree}}")


@cache
def _commit() -> str:
    return git(_ROOT, "rev-parse", "HEAD")


def repository(folder: Path) -> None:
    """This project's own commit, as a user's clone of it; the same one for all."""
    commit = _commit()
    git(folder, "clone", "--quiet", "--no-hardlinks", "--no-checkout", str(_ROOT), ".")
    git(folder, "checkout", "--quiet", "-B", "main", commit)


def undisturbed(folder: Path, agents: int = AGENTS) -> str:
    """The tree that the run comes to where nothing is lost, told by the plan alone."""
    folder.mkdir()
    repository(folder)
    for n in range(agents):
        for path, text in _files(f"part{n:02}").items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    git(folder, "add", "--all")
    return git(folder, "write-tree")


def _steps(name: str) -> Sequence[Reply]:
    (path, text), (other, words) = _files(name).items()
    folder = Path(other).parent
    command = f"mkdir -p {folder} && printf '{words.strip()}\\n' >> {other}"
    return (call("write_file", path=path, content=text), call("bash", command=command), say("done"))


def _files(name: str) -> dict[str, str]:
    """What the agent of a part writes: one file by a tool, one by a shell's append."""
    return {f"notes/{name}.md": f"# {name}\n", f"notes/done/{name}.txt": f"{name} once\n"}


def _why(ended: Ended) -> str:
    try:
        parts = [(s["name"], s["error"]) for s in ended.json["subtask_results"] if s.get("error")]
    except (ValueError, KeyError):
        return ended.out[-2000:]
    return f"{ended.json.get('error')} {parts[:5]}"
