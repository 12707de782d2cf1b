"""From a task to a plan: one agent, and one round of repair."""

from codetether_ray.core.errors import PlanError, PlannerFailedError
from codetether_ray.core.spec import TurnResult
from codetether_ray.swarm import prompts
from codetether_ray.swarm.crew import Crew
from codetether_ray.swarm.options import SwarmOptions
from codetether_ray.swarm.plan import Plan, parse_plan, single
from codetether_ray.swarm.tally import Tally


async def make_plan(options: SwarmOptions, crew: Crew, tally: Tally) -> Plan:
    """The plan of the task; strategy `none` asks no model.

    Raises:
        PlanError: the repaired plan is not sound either.
        PlannerFailedError: a planner did not end its turn well.
    """
    if options.strategy == "none":
        return single(options.task)
    task, strategy, limit = options.task, options.strategy, options.max_subagents
    request = prompts.plan_request(task, strategy, limit)
    answer = _text(await tally.run(crew.planner(), request))
    try:
        return parse_plan(answer, max_subagents=limit, task=task)
    except PlanError as error:
        request = prompts.repair_request(task, strategy, limit, answer, str(error))
    answer = _text(await tally.run(crew.planner(repair=True), request))
    return parse_plan(answer, max_subagents=limit, task=task)


def _text(turn: TurnResult) -> str:
    if not turn.is_success:
        detail = turn.error or turn.text or "no reason given"
        raise PlannerFailedError(turn.outcome, turn.error_kind, detail)
    return turn.text
