"""Two hundred subtasks on a Ray that has memory for eight of them."""

from collections.abc import Iterable

import pytest

from codetether_ray.core.events import Record
from codetether_ray.testing.model_server import ModelServer, say
from tests.e2e.program import Program
from tests.e2e.swarm_scene import SwarmModel, make_repository, records

COUNT = 200
AT_ONCE = 8


def most_alive(found: Iterable[Record]) -> int:
    """How many sub-agents were between their first and last event at once, at most."""
    alive: set[str] = set()
    most = 0
    for record in found:
        if record.agent.startswith("sub/"):
            alive.add(record.agent)
            most = max(most, len(alive))
            if record.event.tag == "turn.finished":
                alive.remove(record.agent)
    return most


@pytest.mark.matrix
async def test_two_hundred_subtasks_with_memory_for_eight_finish_with_at_most_eight_alive(
    program: Program,
) -> None:
    make_repository(program.project)
    names = [f"part{n:03}" for n in range(COUNT)]
    plan = [{"name": name, "instruction": f"Do the work of {name}."} for name in names]
    steps = {name: [say(f"{name} is done")] for name in names}
    async with ModelServer(SwarmModel(plan=plan, steps=steps)) as server:
        ended = await program.run(
            *("swarm", "do all parts", "--json", "--yes", "--model", "local/m"),
            *("--max-subagents", str(COUNT)),
            *("--memory", "400MB", "--memory-per-agent", "50MB"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=850,
        )
        asked = len(server.requests)
    assert ended.code == 0, ended.err
    result = ended.json
    assert [s["status"] for s in result["subtask_results"]] == ["completed"] * COUNT
    assert asked == COUNT + 2  # planner, synthesis, and each part once
    found = records(program, result["swarm_id"])
    assert AT_ONCE // 2 <= most_alive(found) <= AT_ONCE  # an admitted one takes a while to speak
    assert "PYTHON worker" not in ended.err
