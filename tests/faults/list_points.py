"""Which failpoints each scenario passes: `python -m tests.faults.list_points` writes the list."""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.failpoints import Forge, record

POINTS = Path(__file__).with_name("points.json")


@dataclass(frozen=True)
class Way:
    """A scenario, and where it is killed before the points of its next life are counted."""

    scenario: str
    undisturbed: str
    killed_at: tuple[str, ...] = ()


LISTS: Mapping[str, Way] = {
    "run": Way("run", "run"),
    "swarm": Way("swarm", "swarm"),
    # And again during recovery: the shell of the first life had begun, a merge had been made.
    "run-again": Way("run", "run", ("tool.begun:2",)),
    "swarm-again": Way("swarm", "swarm", ("merge.swapped:1",)),
}


async def list_points() -> dict[str, Mapping[str, int]]:
    """Record every scenario once."""
    forge = Forge()
    found: dict[str, Mapping[str, int]] = {}
    for name, way in LISTS.items():
        with tempfile.TemporaryDirectory() as folder:
            done = await record(way.scenario, Path(folder), forge, *way.killed_at)
            found[name] = done.hits
    forge.close()
    return found


if __name__ == "__main__":
    POINTS.write_text(json.dumps(asyncio.run(list_points()), indent=2) + "\n")
