"""Decides again what a swarm's coordinator decided, from its records alone.

From outside come the planner's answer, how agents ended, commits and conflicts, cancellations.
Recomputed: the plan in the answer, which subtask may start when, who is blocked and why, the
order of merges, the outcome.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from codetether_ray.core import graph
from codetether_ray.core.departure import Departure
from codetether_ray.core.errors import PlanError
from codetether_ray.core.events import (
    Event,
    PlanMade,
    RunStarted,
    SubtaskChanged,
    SubtaskMerged,
    SubtaskStatus,
    SwarmContinued,
    SwarmFinished,
    SwarmStarted,
    TurnFinished,
)
from codetether_ray.core.spec import TurnResult
from codetether_ray.swarm.memory import is_cancelled
from codetether_ray.swarm.plan import Plan, parse_plan, single
from codetether_ray.swarm.result import SubtaskResult, outcome_of
from codetether_ray.swarm.rules import RULES
from codetether_ray.swarm.schedule import ENDED
from codetether_ray.swarm.work import STATUS_OF

_PLANNERS = ("planner", "planner-repair")
_ANY_NUMBER = 1_000_000


class SwarmCheck:
    """Follows the records of a swarm; after the first departure it is of no more use."""

    def __init__(self) -> None:
        self._task, self._strategy = "", ""
        self._rules = RULES
        """By which it was led when the record was made."""
        self._answers: dict[str, str] = {}
        """What the planners said."""
        self._turns: dict[str, TurnResult] = {}
        """How each agent's last turn ended."""
        self._plan: Plan | None = None
        self._results: dict[str, SubtaskResult] = {}
        self._ready_at: dict[str, int] = {}
        """When (counted in ends) a subtask's last dependency was done."""
        self._ends = 0
        self._queued: list[str] = []
        """Those that were queued one after another, without an end between."""
        self.decisions = 0

    def take(self, agent: str, event: Event, *, is_reborn: bool = False) -> Departure | None:
        """The departure that an event is, without its place in the run; None if it is none.

        `is_reborn`: the run's writer, who coordinates the swarm, was another one before.
        """
        if is_reborn:
            self._begin()
        if isinstance(event, TurnFinished):
            self._turn_finished(agent, event)
            return None
        check = _CHECKS.get(type(event))
        odd = check(self, event) if check is not None else None
        if odd is None or self._rules == RULES:
            return odd
        return replace(odd, cause="newer code")

    def _turn_finished(self, agent: str, event: TurnFinished) -> None:
        self._turns[agent] = event.result
        if agent in _PLANNERS:
            self._answers[agent] = event.result.text

    # -- the plan ---------------------------------------------------------------------------------

    def _started(self, event: SwarmStarted) -> Departure | None:
        self._task, self._strategy, self._rules = event.task, event.strategy, event.rules
        return None

    def _continued(self, event: SwarmContinued) -> Departure | None:
        self._rules = event.rules
        return None

    def _planned(self, event: PlanMade) -> Departure | None:
        self.decisions += 1
        try:
            plan = Plan.from_json(event.subtasks, event.warnings)
        except (ValueError, KeyError, TypeError) as error:
            return _odd("the plan cannot be read", str(error))
        wanted = self._decided()
        if wanted is not None and plan.subtasks != wanted.subtasks:
            return _odd("the plan is not the planner's", _names(plan), _names(wanted))
        stages = graph.stages(plan.graph)
        for subtask in plan.subtasks:
            if stages.get(subtask.id) != subtask.stage:
                return _odd(f"subtask {subtask.id} has a wrong stage", subtask.stage)
        self._plan = plan
        self._begin()
        return None

    def _decided(self) -> Plan | None:
        """The plan that the answers hold; None where there is no answer to go by."""
        if self._strategy == "none":
            return single(self._task)
        for name in _PLANNERS:
            answer = self._answers.get(name)
            if answer is None:
                continue
            try:
                return parse_plan(answer, max_subagents=_ANY_NUMBER, task=self._task)
            except PlanError:
                continue
        return None

    def _begin(self) -> None:
        """A coordinator begins, or begins again: what is settled stays so."""
        plan = self._plan
        if plan is None:
            return
        settled = (r for r in self._results.values() if _is_settled(r))
        self._results = {r.subtask.id: _to_be_merged(r) for r in settled}
        self._queued = []
        self._ends += 1
        self._ready_at = {}
        for subtask in plan.subtasks:
            self._note_ready(subtask.id)

    def _restarted(self, event: RunStarted) -> Departure | None:
        self._begin()
        return None

    # -- subtasks ---------------------------------------------------------------------------------

    def _changed(self, event: SubtaskChanged) -> Departure | None:
        self.decisions += 1
        plan = self._plan
        if plan is None or event.id not in plan.by_id:
            return _odd("a subtask is not in the plan", event.id)
        known = self._results.get(event.id)
        before: SubtaskStatus = known.status if known else "pending"
        if event.status == "queued":
            odd = self._may_queue(event, before)
        elif event.status == "blocked":
            odd = self._may_block(event, before)
        elif event.status == "running":
            odd = None if before in ("queued", "running") else _jump(event, before)
        else:
            odd = self._may_end(event, before)
        if odd is None:
            self._note(event)
        return odd

    def _may_queue(self, event: SubtaskChanged, before: SubtaskStatus) -> Departure | None:
        assert self._plan is not None
        if before != "pending":
            return _jump(event, before)
        ready = self._ready_at.get(event.id)
        if ready is None:
            needs = self._open_needs(event.id)
            what = f"subtask {event.id} starts before what it depends on is done"
            return _odd(what, "queued", f"waiting for {', '.join(needs)}")
        mine = self._rank(event.id)
        for earlier in self._queued:
            if ready <= self._ready_at[earlier] and mine < self._rank(earlier):
                what = f"subtask {earlier} starts before {event.id}, which has precedence"
                return _odd(what, earlier, event.id)
        self._queued.append(event.id)
        return None

    def _may_block(self, event: SubtaskChanged, before: SubtaskStatus) -> Departure | None:
        assert self._plan is not None
        if before != "pending":
            return _jump(event, before)
        above = graph.reach(self._plan.graph, (event.id,))
        causes = {
            f'it depends on "{r.subtask.name}", which is {r.status}'
            for id, r in self._results.items()
            if id in above and r.status in ENDED and not r.is_success
        }
        if event.detail not in causes:
            return _odd(f"subtask {event.id} is blocked", event.detail, " or ".join(sorted(causes)))
        return None

    def _may_end(self, event: SubtaskChanged, before: SubtaskStatus) -> Departure | None:
        if event.status in ("interrupted", "cancelled") and event.result is None:
            return None if before not in ENDED else _jump(event, before)
        if before not in ("queued", "running"):
            return _jump(event, before)
        turn = event.result
        if turn is None:
            return None if event.status == "failed" else _jump(event, before)
        status = STATUS_OF.get(turn.outcome, "failed")
        if event.status not in (status, "failed"):
            return _odd(f"subtask {event.id} ends otherwise", event.status, status)
        own = self._turns.get(event.agent)
        if event.status == "completed" and (
            own is None or (own.outcome, own.text) != (turn.outcome, turn.text)
        ):
            recorded, expected = turn.text, own.text if own else "an agent that ended"
            return _odd(f"subtask {event.id} has another result than its agent", recorded, expected)
        return None

    def _note(self, event: SubtaskChanged) -> None:
        assert self._plan is not None
        self._results[event.id] = SubtaskResult(
            subtask=self._plan.by_id[event.id],
            agent=event.agent,
            status=event.status,
            turn=event.result,
            error=event.detail,
            error_kind=event.result.error_kind if event.result else "",
            files=event.files,
            commit=event.commit,
        )
        if event.status in ENDED:
            self._ends += 1
            self._queued = []
            for user in graph.dependents(self._plan.graph)[event.id]:
                self._note_ready(user)

    def _note_ready(self, id: str) -> None:
        if id not in self._ready_at and id not in self._results and not self._open_needs(id):
            self._ready_at[id] = self._ends

    def _open_needs(self, id: str) -> list[str]:
        assert self._plan is not None
        needs = self._plan.by_id[id].dependencies
        return [n for n in needs if n not in self._results or not self._results[n].is_success]

    def _rank(self, id: str) -> tuple[int, int]:
        assert self._plan is not None
        subtask = self._plan.by_id[id]
        return -subtask.priority, self._plan.subtasks.index(subtask)

    # -- merges and the end -----------------------------------------------------------------------

    def _merged(self, event: SubtaskMerged) -> Departure | None:
        self.decisions += 1
        result = self._results.get(event.id)
        if self._plan is None or result is None or not result.is_success:
            return _odd(f"subtask {event.id} is merged before it is completed", event.status)
        if (event.status == "empty") is bool(result.files):
            return _odd(f"subtask {event.id} is merged otherwise", event.status)
        for earlier in self._plan.merge_order:
            if earlier.id == event.id:
                break
            if not self._is_landed_or_lost(earlier.id):
                what = f"subtask {event.id} is merged before {earlier.id}"
                return _odd(what, event.id, earlier.id)
        commit = event.commit or result.commit
        self._results[event.id] = replace(result, merge=event.status, commit=commit)
        return None

    def _is_landed_or_lost(self, id: str) -> bool:
        result = self._results.get(id)
        return result is not None and (
            bool(result.merge) if result.is_success else result.status in ENDED
        )

    def _finished(self, event: SwarmFinished) -> Departure | None:
        self.decisions += 1
        if event.outcome == "cancelled" or self._plan is None:
            return None
        results = [self._results.get(s.id) for s in self._plan.subtasks]
        ended = tuple(r for r in results if r is not None and self._is_landed_or_lost(r.subtask.id))
        is_whole = len(ended) == len(results)
        if not is_whole:
            if event.outcome in ("success", "partial"):
                return _odd("the swarm ends before its subtasks", event.outcome)
            return None
        outcome = outcome_of(ended)
        # What stopped the coordinator itself (a broken repository, say) is told as it is.
        is_given = event.outcome in ("failed", "budget") and bool(event.result.get("error"))
        if event.outcome != outcome and not is_given:
            return _odd("the swarm ends otherwise", event.outcome, outcome)
        return None


_CHECKS: Mapping[type, Callable[[SwarmCheck, Any], Departure | None]] = MappingProxyType(
    {
        RunStarted: SwarmCheck._restarted,
        SwarmStarted: SwarmCheck._started,
        SwarmContinued: SwarmCheck._continued,
        PlanMade: SwarmCheck._planned,
        SubtaskChanged: SwarmCheck._changed,
        SubtaskMerged: SwarmCheck._merged,
        SwarmFinished: SwarmCheck._finished,
    }
)


def _is_settled(result: SubtaskResult) -> bool:
    return result.is_success or is_cancelled(result.status, result.turn)


def _to_be_merged(result: SubtaskResult) -> SubtaskResult:
    """What could not be merged is tried again."""
    return replace(result, merge="") if result.merge == "unmerged" else result


def _jump(event: SubtaskChanged, before: SubtaskStatus) -> Departure:
    return _odd(f"subtask {event.id} cannot go from {before} to {event.status}", event.status)


def _odd(what: str, recorded: object = "", expected: object = "") -> Departure:
    return Departure(
        level="decisions", what=what, recorded=str(recorded)[:200], expected=str(expected)[:200]
    )


def _names(plan: Plan) -> str:
    return ", ".join(f"{s.id}({' '.join(s.dependencies)})" for s in plan.subtasks)
