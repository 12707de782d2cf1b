"""A swarm's request as a value that is journaled and travels."""

import json
from dataclasses import replace

from codetether_ray.bootstrap.swarm.home import Question
from codetether_ray.bootstrap.swarm.request import SwarmRequest
from codetether_ray.core.usage import Budget, Price
from codetether_ray.swarm.estimate import estimate
from codetether_ray.swarm.plan import Plan, Subtask

REQUEST = SwarmRequest(
    swarm_id="swm_1",
    task="do it",
    directory="/project",
    data_dir="/data",
    model="openai/gpt-4o",
    price=Price(input=1.0, output=2.0),
    strategy="stage",
    parallel=3,
    budget=Budget(tokens=5, agents=7),
    copy=(".env", ".venv"),
    ask_above=None,
)


def test_a_request_survives_its_json() -> None:
    assert SwarmRequest.from_json(json.loads(json.dumps(REQUEST.to_json()))) == REQUEST


def test_the_coordinator_gets_the_terms() -> None:
    options = REQUEST.options()
    assert options.swarm_id == "swm_1"
    assert options.strategy == "stage"
    assert options.template.root == "/project"
    assert "task" in options.tools["subagent"]
    assert options.tools["synthesis"] == ()


def test_a_leaf_of_the_tree_has_no_task_tool() -> None:
    assert "task" in replace(REQUEST, max_depth=2).options().tools["subagent"]
    assert "task" not in replace(REQUEST, max_depth=1).options().tools["subagent"]


def test_only_a_plan_larger_than_allowed_needs_a_word() -> None:
    asks = SwarmRequest(swarm_id="s", task="t", directory="/", data_dir="/", model="m")
    assert not asks.needs_approval(20)
    assert asks.needs_approval(21)
    assert not REQUEST.needs_approval(10_000)


def test_a_question_survives_its_json() -> None:
    subtask = Subtask(id="a", name="a", instruction="do a", files=("x.py",))
    plan = Plan(subtasks=(subtask,), warnings=("overlap",))
    question = Question(plan=plan, cost=estimate(plan, max_steps=5))
    assert Question.from_json(json.loads(json.dumps(question.to_json()))) == question
