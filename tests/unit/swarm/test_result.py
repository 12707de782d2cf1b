import json

import pytest

from codetether_ray.core.usage import Price
from codetether_ray.swarm.estimate import estimate
from codetether_ray.swarm.plan import Plan, Subtask
from codetether_ray.swarm.prompts import shorten
from codetether_ray.swarm.result import SubtaskResult, SwarmResult, exit_code
from tests.unit.swarm.world import completed, plan_of, world


def _subtask(id: str, *needs: str, stage: int = 0) -> Subtask:
    return Subtask(id=id, name=id, instruction="", dependencies=needs, stage=stage)


def _done(subtask: Subtask, start: float, end: float, steps: int) -> SubtaskResult:
    turn = completed(steps=steps, elapsed_s=end - start)
    return SubtaskResult(
        subtask=subtask, agent=f"sub/{subtask.id}", status="completed", turn=turn, merge="merged",
        files=(f"{subtask.id}.py",), started_s=start, ended_s=end,
    )  # fmt: skip


RESULT = SwarmResult(
    swarm_id="swm_1",
    outcome="success",
    elapsed_s=10.0,
    subtasks=(
        _done(_subtask("a"), 1.0, 3.0, 4),
        _done(_subtask("b"), 1.0, 6.0, 2),
        _done(_subtask("c", "a", stage=1), 3.0, 9.0, 3),
        SubtaskResult(subtask=_subtask("d", "c", stage=2), agent="sub/d", status="blocked"),
    ),
)


def test_the_json_has_the_reference_programs_keys() -> None:
    data = json.loads(json.dumps(RESULT.to_json()))
    assert set(data) >= {"success", "result", "subtask_results", "stats", "artifacts", "error"}
    assert set(data["subtask_results"][0]) >= {
        "subtask_id", "subagent_id", "success", "result", "steps", "tool_calls",
        "execution_time_ms", "error", "artifacts",
    }  # fmt: skip
    assert set(data["stats"]) == {
        "subagents_spawned", "subagents_completed", "subagents_failed", "total_tool_calls",
        "critical_path_length", "execution_time_ms", "sequential_time_estimate_ms",
        "speedup_factor", "stages", "rate_limit_stats",
    }  # fmt: skip
    assert set(data["stats"]["stages"][0]) == {
        "stage", "subagent_count", "max_steps", "total_steps", "execution_time_ms",
    }  # fmt: skip
    assert data["artifacts"][0] == {
        "artifact_type": "file", "name": "a.py", "source_subagent": "sub/a",
    }  # fmt: skip


def test_the_figures_are_measured() -> None:
    stats = RESULT.to_json()["stats"]
    assert stats == {
        "subagents_spawned": 3,
        "subagents_completed": 3,
        "subagents_failed": 0,
        "total_tool_calls": 9,
        "critical_path_length": 7,  # a, then c; the blocked one took no step
        "execution_time_ms": 10_000,
        "sequential_time_estimate_ms": 13_000,
        "speedup_factor": 1.3,
        "stages": [
            {"stage": 0, "subagent_count": 2, "max_steps": 4, "total_steps": 6,
             "execution_time_ms": 5000},
            {"stage": 1, "subagent_count": 1, "max_steps": 3, "total_steps": 3,
             "execution_time_ms": 6000},
        ],
        "rate_limit_stats": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "kind", "code"),
    [
        ("success", "", 0),
        ("partial", "", 1),
        ("failed", "", 1),
        ("budget", "BudgetSpentError", 1),
        ("cancelled", "", 130),
        ("cancelled", "DecisionNeededError", 3),
        ("failed", "CredentialsError", 4),
        ("failed", "UnknownProviderError", 2),
    ],
)
def test_exit_codes(outcome: str, kind: str, code: int) -> None:
    assert exit_code(SwarmResult(swarm_id="s", outcome=outcome, error_kind=kind)) == code  # type: ignore[arg-type]


async def test_usage_and_cost_are_those_of_every_agent() -> None:
    scene = world(planner=completed(plan_of({"name": "a"}, {"name": "b"})))
    result = await scene.coordinator().run()
    assert result.usage.prompt_tokens == 40  # planner, two sub-agents, synthesis
    assert result.cost_usd == 2.0
    assert result.to_json()["tokens"] == 44


async def test_one_unknown_price_makes_the_cost_unknown() -> None:
    scene = world(planner=plan_of({"name": "a"}, {"name": "b"}), sub__a=completed(cost_usd=None))
    assert (await scene.coordinator().run()).cost_usd is None


def test_an_estimate_grows_with_agents_and_steps_and_is_priced() -> None:
    one, two = Plan(subtasks=(_subtask("a"),)), Plan(subtasks=(_subtask("a"), _subtask("b")))
    price = Price(input=3, output=15)
    small, large = estimate(one, max_steps=100), estimate(two, max_steps=100, price=price)
    assert 2 * small.total_tokens <= large.total_tokens
    assert estimate(one, max_steps=1).total_tokens < small.total_tokens
    assert small.cost_usd is None
    assert large.cost_usd is not None
    assert large.cost_usd > 0


def test_long_results_are_shortened_in_the_middle_and_say_so() -> None:
    text = shorten("a" * 500 + "b" * 500, 100)
    assert text.startswith("a" * 50)
    assert text.endswith("b" * 50)
    assert "900 characters left out" in text
