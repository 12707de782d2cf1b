from dataclasses import replace

import pytest

from codetether_ray.bootstrap.swarm.approval import PlanApproval
from codetether_ray.bootstrap.swarm.request import SwarmRequest
from codetether_ray.core.events import ApprovalGiven
from codetether_ray.core.usage import Budget
from codetether_ray.swarm.estimate import Estimate, estimate
from codetether_ray.swarm.plan import Plan, parse_plan
from codetether_ray.testing.fakes import MemoryPublisher

REQUEST = SwarmRequest(
    swarm_id="swm_0000000000_00000000",
    task="do it",
    directory="/p",
    data_dir="/d",
    model="local/m",
    ask_above=1,
)


def _plan(*names: str) -> Plan:
    tasks = ",".join(f'{{"name": "{n}", "instruction": "do {n}"}}' for n in names)
    return parse_plan(f'{{"subtasks": [{tasks}]}}', max_subagents=9, task="do it")


class _Person:
    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def ask(self, plan: Plan, cost: Estimate) -> bool:
        self.asked += 1
        return self.answers.pop(0)


async def _decide(
    person: _Person, voice: MemoryPublisher, plan: Plan, request: SwarmRequest = REQUEST
) -> bool:
    """As a coordinator does that was built anew."""
    cost = estimate(plan, max_steps=request.max_steps, price=None)
    return await PlanApproval(request, voice, person.ask)(plan, cost)


async def test_a_word_given_outlives_whoever_asked_for_it() -> None:
    person, voice, plan = _Person(True), MemoryPublisher(), _plan("a", "b")
    assert await _decide(person, voice, plan)
    assert await _decide(person, MemoryPublisher(voice.recorded), plan)
    assert person.asked == 1
    (given,) = voice.recorded
    assert isinstance(given, ApprovalGiven)
    assert (given.subject, given.is_granted, given.by) == ("plan", True, "user")


async def test_a_refusal_is_on_record_and_is_asked_about_again() -> None:
    person, voice, plan = _Person(False, True), MemoryPublisher(), _plan("a", "b")
    assert not await _decide(person, voice, plan)
    assert await _decide(person, MemoryPublisher(voice.recorded), plan)
    assert [e.is_granted for e in voice.recorded if isinstance(e, ApprovalGiven)] == [False]


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, max_steps=7),
        replace(REQUEST, model="local/other"),
        replace(REQUEST, budget=Budget(tokens=5)),
        replace(REQUEST, max_depth=1),
        replace(REQUEST, deliver=True),
        replace(REQUEST, setup="make"),
    ],
)
async def test_other_limits_or_another_policy_need_another_word(other: SwarmRequest) -> None:
    person, voice, plan = _Person(True, True), MemoryPublisher(), _plan("a", "b")
    await _decide(person, voice, plan)
    assert await _decide(person, MemoryPublisher(voice.recorded), plan, other)
    assert person.asked == 2


async def test_another_plan_needs_another_word_and_a_small_one_none() -> None:
    person, voice = _Person(True, True), MemoryPublisher()
    await _decide(person, voice, _plan("a", "b"))
    await _decide(person, MemoryPublisher(voice.recorded), _plan("a", "c"))
    assert person.asked == 2
    assert await _decide(person, voice, _plan("a"))
    assert person.asked == 2
