"""A swarm on several nodes, one of which is lost at a moment that is drawn by a seed."""

import asyncio
import os
import random
import subprocess
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


class PartsModel(SwarmModel):
    """Has each part write a file, then a shell append to one; what was interrupted once more.

    An interrupted agent finds its files as they were before, so that is exact.
    """

    def __call__(self, request: ModelCall) -> Reply:
        name = self.who(request)
        if not name.startswith("part"):
            return super().__call__(request)
        self.asked.append((name, request.step))
        results = [result for message in request.messages for result in message.tool_results]
        done = {r.name for r in results if not r.content.startswith("interrupted")}
        (path, text), (other, words) = files(name).items()
        if "write_file" not in done:
            return call("write_file", path=path, content=text)
        if "bash" not in done:
            folder = Path(other).parent
            return call("bash", command=f"mkdir -p {folder} && printf '{words}' >> {other}")
        return say("done")


@dataclass(kw_only=True)
class Scene:
    """One run; `seed` says when a node is lost and which, None that none is."""

    nodes: Nodes
    name: str
    seed: int | None
    agents: int = AGENTS
    model: PartsModel = field(init=False)
    requests: Sequence[ModelCall] = ()
    lost: str = ""
    """Ray's id of the node that was lost."""
    told: str = ""
    """When that was, in words."""

    def __post_init__(self) -> None:
        names = [f"part{n:02}" for n in range(self.agents)]
        plan = [{"name": name, "instruction": f"Do the work of {name}."} for name in names]
        self.model = PartsModel(plan=plan)
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

    def differences(self, result: dict[str, Any]) -> str:
        """What the merged branch has otherwise than if nothing was lost, as git tells it."""
        wanted = undisturbed(self.program.project, self.agents)
        return git(self.program.project, "diff", "--no-color", wanted, result["branch"])


@cache
def _commit() -> str:
    return git(_ROOT, "rev-parse", "HEAD")


def repository(folder: Path) -> None:
    """This project's own commit, as a user's clone of it; the same one for all."""
    commit = _commit()
    git(folder, "clone", "--quiet", "--no-hardlinks", "--no-checkout", str(_ROOT), ".")
    git(folder, "checkout", "--quiet", "-B", "main", commit)


def undisturbed(folder: Path, agents: int) -> str:
    """The tree that a run in `folder` comes to where nothing is lost, told by the plan alone."""
    scratch = folder.with_suffix(".undisturbed")
    scratch.mkdir()
    wanted = {path: text for n in range(agents) for path, text in files(f"part{n:02}").items()}
    for number, text in enumerate(wanted.values()):
        (scratch / str(number)).write_text(text)
    listed = "\n".join(str(scratch / str(number)) for number in range(len(wanted)))
    blobs = _git(folder, "hash-object", "-w", "--stdin-paths", "--no-filters", stdin=listed).split()
    lines = [f"100644 {blob}\t{path}" for path, blob in zip(wanted, blobs, strict=True)]
    index = str(scratch / "index")
    _git(folder, "read-tree", "HEAD", index=index)
    _git(folder, "update-index", "--add", "--index-info", index=index, stdin="\n".join(lines))
    return _git(folder, "write-tree", index=index)


def _git(folder: Path, *words: str, stdin: str = "", index: str = "") -> str:
    env = {**os.environ, **({"GIT_INDEX_FILE": index} if index else {})}
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def files(name: str) -> dict[str, str]:
    """What the agent of a part writes: one file by a tool, one by a shell's append."""
    return {f"notes/{name}.md": f"# {name}\n", f"notes/done/{name}.txt": f"{name} once"}


def _why(ended: Ended) -> str:
    try:
        parts = [(s["name"], s["error"]) for s in ended.json["subtask_results"] if s.get("error")]
    except (ValueError, KeyError):
        return ended.out[-2000:]
    return f"{ended.json.get('error')} {parts[:5]}"
