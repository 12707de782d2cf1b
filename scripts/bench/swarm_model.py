"""The model of the swarm benchmark: answers after 200 ms, two tool calls and then a report.

A planner is given a plan of as many independent subtasks as its task asks for.
"""

import json
import os
import re

from codetether_ray.testing.model_server import ModelCall, Reply, calls, say

DELAY_S = float(os.environ.get("BENCH_DELAY_S", "0.2"))


def reply(asked: ModelCall) -> Reply:
    """Three model turns for everybody but planner and synthesis, who take one without delay."""
    first = asked.first_user_text
    if "Answer with JSON only" in first:
        return say(_plan(int(re.search(r"\d+", first)[0])))  # type: ignore[index]
    if "Answer the task." in first:
        return say("done")
    if asked.step_in_turn < 2:
        return calls(("list_dir", {"path": "."}), text="Looking.", delay_s=DELAY_S)
    return say("The directory was listed twice.", delay_s=DELAY_S)


def _plan(subtasks: int) -> str:
    made = [{"name": f"part {n}", "instruction": f"Look at part {n}."} for n in range(subtasks)]
    return json.dumps({"subtasks": made})
