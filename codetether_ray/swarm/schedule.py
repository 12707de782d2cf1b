"""Which subtasks may start now. Pure bookkeeping: no clock, no input or output.

A subtask may start the moment its own dependencies are done; there is no barrier between stages.
One that ends otherwise stops its dependents, and theirs, and is named as the reason.
"""

import heapq
from dataclasses import dataclass

from codetether_ray.core import graph
from codetether_ray.core.events import SubtaskStatus
from codetether_ray.swarm.plan import Plan, Subtask

ENDED: frozenset[SubtaskStatus] = frozenset(
    {"completed", "failed", "blocked", "cancelled", "interrupted", "timed_out"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A subtask that will not run, because `cause` did not complete."""

    subtask: Subtask
    cause: Subtask


class Schedule:
    """The state of every subtask of a plan.

    Keeps true: a subtask is handed out at most once, only after all its dependencies completed,
    and one behind a failure never.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._place = {s.id: index for index, s in enumerate(plan.subtasks)}
        self._users = graph.dependents(plan.graph)
        self._open = {s.id: len(s.dependencies) for s in plan.subtasks}
        self._status: dict[str, SubtaskStatus] = {s.id: "pending" for s in plan.subtasks}
        self._unfinished = len(plan.subtasks)
        self._ready: list[tuple[int, int, str]] = []
        for subtask in plan.subtasks:
            if not subtask.dependencies:
                self._offer(subtask)

    @property
    def is_finished(self) -> bool:
        """Whether every subtask has ended, one way or another."""
        return not self._unfinished

    def status(self, id: str) -> SubtaskStatus:
        """How a subtask stands."""
        return self._status[id]

    def take_ready(self) -> tuple[Subtask, ...]:
        """Subtasks that may start now and were not handed out: by priority, then plan order."""
        taken = []
        while self._ready:
            _, _, id = heapq.heappop(self._ready)
            self._status[id] = "queued"
            taken.append(self._plan.by_id[id])
        return tuple(taken)

    def end(self, id: str, status: SubtaskStatus) -> tuple[Blocked, ...]:
        """Note how a subtask ended; return those which that stops, in plan order."""
        self._close(id, status)
        if status == "completed":
            for user in self._users[id]:
                self._open[user] -= 1
                if not self._open[user] and self._status[user] == "pending":
                    self._offer(self._plan.by_id[user])
            return ()
        stopped = graph.reach(self._users, (id,))
        cause = self._plan.by_id[id]
        blocked = [
            Blocked(subtask=subtask, cause=cause)
            for subtask in sorted(
                (self._plan.by_id[s] for s in stopped), key=lambda s: self._place[s.id]
            )
            if self._status[subtask.id] == "pending"
        ]
        for entry in blocked:
            self._close(entry.subtask.id, "blocked")
        return tuple(blocked)

    def _offer(self, subtask: Subtask) -> None:
        heapq.heappush(self._ready, (-subtask.priority, self._place[subtask.id], subtask.id))

    def _close(self, id: str, status: SubtaskStatus) -> None:
        if self._status[id] in ENDED or status not in ENDED:
            raise ValueError(f"{id} cannot go from {self._status[id]} to {status}")
        self._status[id] = status
        self._unfinished -= 1
