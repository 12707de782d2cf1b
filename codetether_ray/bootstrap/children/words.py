"""What a child run came to, in words for the model that asked for it; and its steps, for people."""

from codetether_ray.bootstrap.children.requests import Child
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import (
    AttemptStarted,
    Record,
    StoryEnded,
    SubtaskChanged,
    SubtaskMerged,
)
from codetether_ray.journal.listing import Spending
from codetether_ray.ports.child_runs import ChildResult

_SUCCESSES = frozenset({"success", "completed"})
_MOST = 12_000  # characters of an answer or a list of files


def result_of(child: Child, result: JsonObject, spent: Spending) -> ChildResult:
    """The result object of a run, as its parent gets it."""
    outcome = str(result["outcome"])
    cost = "" if spent.cost_usd is None else f", ${spent.cost_usd:.4f}"
    head = f"{child.kind} {child.run_id}: {outcome} ({spent.usage.total_tokens} tokens{cost})"
    return ChildResult(
        run_id=child.run_id,
        outcome=outcome,
        is_success=outcome in _SUCCESSES,
        text="\n".join((head, *_details(result))),
        usage=spent.usage,
        cost_usd=spent.cost_usd,
    )


def _details(result: JsonObject) -> tuple[str, ...]:
    told = [str(result.get("result") or "")[:_MOST]]
    passed, total = result.get("passed"), result.get("total")
    if passed is not None and total is not None:
        told.append(f"{passed} of {total} stories pass")
    told += [f"{name}: {result[name]}" for name in ("error", "delivered") if result.get(name)]
    if result.get("branch") and not result.get("delivered"):
        told.append(f"its commits are on {result['branch']}")
    told.append(str(result.get("diffstat") or "")[:_MOST])
    return tuple(text for text in told if text.strip())


def step_of(record: Record) -> str:
    """One step of a run in a line; empty where it is none to tell."""
    match record.event:
        case SubtaskChanged(name=name, status=status):
            return f"{name}: {status}"
        case SubtaskMerged(id=id, status=status):
            return f"{id}: {status}"
        case AttemptStarted(story=story, attempt=attempt):
            return f"{story}: attempt {attempt}"
        case StoryEnded(story=story, status=status):
            return f"{story}: {status}"
    return ""
