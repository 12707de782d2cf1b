"""Sub-agents on nodes that do not see the user's checkout: code goes there once, work returns."""

import os
from collections.abc import Sequence
from typing import Any

import pytest

from codetether_ray.testing.model_server import ModelServer, Reply, call, say
from tests.cluster.nodes import HEAD, Node, Nodes
from tests.e2e.program import Program
from tests.e2e.swarm_scene import SwarmModel, git, make_repository

pytestmark = pytest.mark.matrix  # tens of seconds each: some of them in each run of the suite

_PARTS = [f"part{n}" for n in range(6)]
_BIG = 2_000_000
_LOOK = "{ pwd; ls -A; cat tracked.txt; } > seen-%s.txt"


def steps(name: str) -> Sequence[Reply]:
    return call("bash", command=_LOOK % name), say("done")


async def swarm(nodes: Nodes, program: Program) -> dict[str, Any]:
    plan = [{"name": name, "instruction": f"Do the work of {name}."} for name in _PARTS]
    model = SwarmModel(plan=plan, steps={name: steps(name) for name in _PARTS})
    async with ModelServer(model, host=nodes.gateway) as server:
        ended = await program.run(
            *("swarm", "look around", "--json", "--yes", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
        )
    assert ended.code == 0, ended.err
    found: dict[str, Any] = ended.json
    return found


def size_of_clones(node: Node) -> int:
    clones = node.data / "repos"
    return sum(path.stat().st_size for path in clones.rglob("*") if path.is_file())


async def test_code_travels_once_and_nothing_stays_behind_but_its_ground(nodes: Nodes) -> None:
    program = nodes.program("trees")
    make_repository(program.project)
    (program.project / "big.bin").write_bytes(os.urandom(_BIG))
    git(program.project, "add", "big.bin")
    git(program.project, "commit", "--quiet", "--message=big")
    result = await swarm(nodes, program)
    assert result["outcome"] == "success"
    workers = [node for name, node in nodes.nodes.items() if name != HEAD]
    seen = [git(program.project, "show", f"{result['branch']}:seen-{n}.txt") for n in _PARTS]
    for text in seen:
        assert "not committed" in text
        assert "untracked.txt" in text
        assert "\nignored\n" not in text
    roots = [text.split("\n")[0] for text in seen]
    for worker in workers:
        assert any(root.startswith(str(worker.data)) for root in roots), roots
        assert size_of_clones(worker) > _BIG
        assert not list((worker.data / "hubs").glob("*.git"))
        assert not list((worker.data / "worktrees").rglob("tracked.txt"))
    before = {worker.host.name: size_of_clones(worker) for worker in workers}
    await swarm(nodes, program)
    for worker in workers:
        assert size_of_clones(worker) - before[worker.host.name] < 100_000
    cleaned = await program.run("cleanup", "--nodes", "--dry-run", "--json", timeout_s=300)
    assert cleaned.code == 0, cleaned.err
    assert cleaned.json["clones"] == []
    assert not [kept for kept in cleaned.json["kept"] if kept["what"].startswith("node ")]
