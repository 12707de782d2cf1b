"""From a task to a plan: one agent, and one round of repair."""

from dataclasses import replace

from codetether_ray.agent.tally import Tally
from codetether_ray.core.errors import PlanError, PlannerFailedError
from codetether_ray.core.spec import TurnResult
from codetether_ray.swarm import prompts
from codetether_ray.swarm.crew import Crew
from codetether_ray.swarm.options import SwarmOptions
from codetether_ray.swarm.plan import Plan, parse_plan, single

_IN_ONE_PIECE = "the planner answered nothing, so the whole task is one subtask"
_SAID_NOTHING = "UnfinishedAnswerError"
"""The error kind of a turn whose answers were blank, or cut off, to the last."""


async def make_plan(options: SwarmOptions, crew: Crew, tally: Tally) -> Plan:
    """The plan of the task; strategy `none` asks no model.

    A planner that answers nothing, however often it is asked, leaves one subtask: the whole task.

    Raises:
        PlanError: the repaired plan is not sound either.
        PlannerFailedError: a planner did not end its turn well.
    """
    if options.strategy == "none":
        return single(options.task)
    task, strategy, limit = options.task, options.strategy, options.max_subagents
    request = prompts.plan_request(task, strategy, limit)
    answer = _text(await tally.run(crew.planner(), request))
    if not answer.strip():
        return replace(single(task), warnings=(_IN_ONE_PIECE,))
    try:
        return parse_plan(answer, max_subagents=limit, task=task)
    except PlanError as error:
        request = prompts.repair_request(task, strategy, limit, answer, str(error))
    answer = _text(await tally.run(crew.planner(repair=True), request))
    try:
        return parse_plan(answer, max_subagents=limit, task=task)
    except PlanError as error:
        raise PlanError(
            f"no plan that can be used was made, not even when asked again: {error}; try another "
            "model, or `--strategy none`"
        ) from error


def _text(turn: TurnResult) -> str:
    """What the planner said; a planner that said nothing leaves the task in one piece."""
    if turn.error_kind == _SAID_NOTHING and not turn.text.strip():
        return ""
    if not turn.is_success:
        detail = turn.error or turn.text or "no reason given"
        raise PlannerFailedError(turn.outcome, turn.error_kind, detail)
    return turn.text
