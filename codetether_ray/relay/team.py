"""From a task to a team: one agent, one round of repair, and generalists if that fails."""

from codetether_ray.core.errors import PlanError, PlannerFailedError
from codetether_ray.core.messages import user
from codetether_ray.core.spec import TurnResult
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.relay import prompts
from codetether_ray.relay.crew import Crew
from codetether_ray.relay.options import RelayOptions
from codetether_ray.relay.profiles import Profile, fallback_team, parse_team

_UNUSABLE = frozenset({"UnfinishedAnswerError", "InvalidAnswerError"})
"""Error kinds of a turn in which the model answered, and nothing that could be used."""


async def form_team(
    options: RelayOptions, crew: Crew, runtime: AgentRuntime
) -> tuple[tuple[Profile, ...], str]:
    """The team, and why it is not the model's own choice ("" if it is).

    Raises:
        PlannerFailedError: nobody answered: a provider's fault, a spent budget. It can be resumed.
    """
    request = prompts.team_request(options.task, options.count, options.objective)
    answer = _text(await runtime.run(crew.planner(), user(request)))
    try:
        return parse_team(answer, options.count), ""
    except PlanError as error:
        request = prompts.team_again(request, answer, str(error))
    answer = _text(await runtime.run(crew.planner(repair=True), user(request)))
    try:
        return parse_team(answer, options.count), ""
    except PlanError as error:
        note = f"no team that can be used was given ({error}), so generalists do it"
        return fallback_team(options.count), note


def _text(turn: TurnResult) -> str:
    """What was said; an answer that cannot be used is an empty one."""
    if not turn.is_success and turn.error_kind not in _UNUSABLE:
        detail = turn.error or turn.text or "no reason given"
        raise PlannerFailedError(turn.outcome, turn.error_kind, detail)
    return turn.text
