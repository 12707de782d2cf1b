"""What is wrong with a recorded event, and how a decision is called in a few words."""

from dataclasses import dataclass

from codetether_ray.agent.compaction import Clear, Summarise
from codetether_ray.agent.decide import CallModel, Decision, Finish, Nudge, RunTools, Settle

_SHOWN = 200  # characters of a value in a departure


@dataclass(frozen=True, slots=True)
class Odd:
    """What is wrong with an event."""

    what: str
    recorded: object = ""
    expected: object = ""
    part: str = ""


def name_of(decision: Decision) -> str:
    """A decision in a few words."""
    match decision:
        case CallModel():
            return "a model call"
        case RunTools(groups=groups):
            return f"tools: {', '.join(p.call.name for p in groups[0])}"
        case Settle(results=results):
            return f"settling {', '.join(r.result.call_id for r in results)}"
        case Nudge(text=text):
            return f"the words {text!r}"
        case Clear(call_ids=ids):
            return f"removing the results of {', '.join(ids)}"
        case Summarise(keep_from=count):
            return f"a summary of {count} messages"
        case Finish(outcome=outcome, error=error):
            return f"the end: {outcome} {error}".strip()
    raise AssertionError(decision)


def shown(value: object) -> str:
    """The beginning of a value, as text."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
