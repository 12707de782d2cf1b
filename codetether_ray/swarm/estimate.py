"""What a plan may cost, roughly, before it is approved.

The figure is a rule of thumb, and is called an estimate wherever it is shown. A sub-agent makes
`_STEPS` model calls (or `max_steps`, if that is less). Each sends the prefix (system prompt and
tool schemas, under 4,000 tokens), the task, and all that was said before: `_GROWTH` tokens more
with each step. Text counts a token per four characters. The planner has been paid by then; the
synthesis is one call over all results.
"""

from dataclasses import dataclass

from codetether_ray.core.usage import Price, Usage
from codetether_ray.swarm.plan import Plan, Subtask

_STEPS = 12
_PREFIX = 4_000
_GROWTH = 900
_ANSWER = 250  # tokens that a model writes in one step
_RESULT = 600  # tokens of a sub-agent's result, as dependents and the synthesis read it
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Agents and tokens; `cost_usd` is None where the model's price is unknown."""

    agents: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


def estimate(plan: Plan, *, max_steps: int, price: Price | None = None) -> Estimate:
    """What running `plan` may take; no cache discount is assumed."""
    steps = min(max_steps, _STEPS)
    several = len(plan.subtasks) > 1
    closing = _RESULT * len(plan.subtasks) if several else 0
    prompt = sum(_prompt_tokens(s, steps) for s in plan.subtasks) + closing
    completion = len(plan.subtasks) * steps * _ANSWER + (_RESULT if several else 0)
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion)
    return Estimate(
        agents=len(plan.subtasks),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=None if price is None else price.cost_usd(usage),
    )


def _prompt_tokens(subtask: Subtask, steps: int) -> int:
    first = _PREFIX + len(subtask.instruction) // _CHARACTERS_PER_TOKEN
    first += _RESULT * len(subtask.dependencies)
    return steps * first + _GROWTH * steps * (steps - 1) // 2
