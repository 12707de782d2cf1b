"""What a worker does next: a state machine, pure. Things happen; it says what is to be done.

Each task is in one place at most: it waits, is being claimed, is being done, or is being given
back. At most `limit` are claimed or done at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from codetether_ray.core.work import Ended, Worker
from codetether_ray.worker.offers import Offer
from codetether_ray.worker.routing import fits

_MOST_WAITING = 1000
V = TypeVar("V")

# -- what happens ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offered:
    """The platform told of a task."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Polled:
    """The platform told of all that waits: what is not among it is gone."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task is this worker's. `lease` is None where the platform has no numbers."""

    offer: Offer
    lease: int | None


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """A task is another's, or the platform could not be asked."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The work on a task has ended."""

    task_id: str
    ended: Ended


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The platform knows how a task ended, or does not want to know."""

    task_id: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody wants a task's end."""

    task_id: str


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """A task is not this worker's any more."""

    task_id: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Take nothing new, and leave when what is under way has ended."""


@dataclass(frozen=True, slots=True)
class GraceOver:
    """Hand back what is still under way."""


Happening = (
    Offered | Polled | Claimed | NotClaimed | Finished | GivenBack | CancelAsked | LeaseLost
    | StopAsked | GraceOver
)  # fmt: skip

# -- what is to be done ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask the platform for a task."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Begin:
    """Do a task."""

    offer: Offer
    lease: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the work on a task early."""

    task_id: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Tell the platform how a task ended."""

    task_id: str
    lease: int | None
    ended: Ended


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is left to do."""


Action = Claim | Begin | Stop | GiveBack | Leave

# -- the machine ---------------------------------------------------------------------------------

Why = Literal["", "cancelled", "handed_back", "lost"]
"""Why the work on a task is ended early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A task that is being done."""

    lease: int | None
    stopped: Why = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a worker knows of its tasks."""

    me: Worker
    limit: int = 1
    waiting: tuple[Offer, ...] = ()
    claiming: frozenset[str] = frozenset()
    running: Mapping[str, Running] = field(default_factory=lambda: MappingProxyType({}))
    leaving: Mapping[str, int | None] = field(default_factory=lambda: MappingProxyType({}))
    """Done, and the platform does not know it yet: the leases by ids."""
    is_stopping: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self.claiming or self.running or self.leaving)

    @property
    def held(self) -> dict[str, int | None]:
        """The leases that must not run out, by tasks."""
        return {**{id: one.lease for id, one in self.running.items()}, **self.leaving}

    def has(self, task_id: str) -> bool:
        """Whether a task is under way here."""
        return task_id in self.claiming or task_id in self.running or task_id in self.leaving


Step = tuple[State, tuple[Action, ...]]


def step(state: State, happening: Happening) -> Step:
    """The state after something happened, and what is to be done now."""
    after, actions = _STEPS[type(happening)](state, happening)
    after, claims = _claims(after)
    leave = (Leave(),) if after.is_stopping and after.is_idle else ()
    return after, (*actions, *claims, *leave)


def _offered(state: State, told: Offered) -> Step:
    others = tuple(one for one in state.waiting if one.id != told.offer.id)
    return _waiting(state, (*others, told.offer)), ()


def _polled(state: State, told: Polled) -> Step:
    return _waiting(state, told.offers), ()


def _waiting(state: State, offers: tuple[Offer, ...]) -> State:
    """The state with these tasks waiting, those that this worker may have and has not."""
    if state.is_stopping:
        return state
    wanted = (o for o in offers if not state.has(o.id) and fits(state.me, o.wish))
    by_id = {offer.id: offer for offer in wanted}
    return replace(state, waiting=tuple(by_id.values())[:_MOST_WAITING])


def _claimed(state: State, told: Claimed) -> Step:
    id = told.offer.id
    if id not in state.claiming:
        return state, ()
    claiming = state.claiming - {id}
    if state.is_stopping:
        after = replace(state, claiming=claiming, leaving=_with(state.leaving, id, told.lease))
        return after, (GiveBack(id, told.lease, Ended(status="released")),)
    running = _with(state.running, id, Running(lease=told.lease))
    return replace(state, claiming=claiming, running=running), (Begin(told.offer, told.lease),)


def _not_claimed(state: State, told: NotClaimed) -> Step:
    return replace(state, claiming=state.claiming - {told.task_id}), ()


def _finished(state: State, told: Finished) -> Step:
    id, found = told.task_id, state.running.get(told.task_id)
    if found is None:
        return state, ()
    running = _without(state.running, id)
    if found.stopped == "lost":
        return replace(state, running=running), ()
    ended = told.ended
    if ended.status == "cancelled" and found.stopped != "cancelled":
        ended = replace(ended, status="released")  # nobody asked for its end: another does it
    leaving = _with(state.leaving, id, found.lease)
    after = replace(state, running=running, leaving=leaving)
    return after, (GiveBack(id, found.lease, ended),)


def _given_back(state: State, told: GivenBack) -> Step:
    return replace(state, leaving=_without(state.leaving, told.task_id)), ()


def _cancel_asked(state: State, told: CancelAsked) -> Step:
    kept = tuple(one for one in state.waiting if one.id != told.task_id)
    return _stopped(replace(state, waiting=kept), told.task_id, "cancelled")


def _lease_lost(state: State, told: LeaseLost) -> Step:
    return _stopped(state, told.task_id, "lost")


def _stopped(state: State, id: str, why: Why) -> Step:
    """The work on a task ended early; who lost it has no more to say of it, whatever was before."""
    found = state.running.get(id)
    if found is None or found.stopped in (why, "lost"):
        return state, ()
    running = _with(state.running, id, replace(found, stopped=why))
    actions = () if found.stopped else (Stop(id),)
    return replace(state, running=running), actions


def _stop_asked(state: State, _: StopAsked) -> Step:
    return replace(state, is_stopping=True, waiting=()), ()


def _grace_over(state: State, _: GraceOver) -> Step:
    after = replace(state, is_stopping=True, waiting=())
    actions: list[Action] = []
    for id, found in state.running.items():
        if not found.stopped:
            after, more = _stopped(after, id, "handed_back")
            actions += more
    return after, tuple(actions)


_STEPS: Mapping[type, Callable[[State, Any], Step]] = {
    Offered: _offered,
    Polled: _polled,
    Claimed: _claimed,
    NotClaimed: _not_claimed,
    Finished: _finished,
    GivenBack: _given_back,
    CancelAsked: _cancel_asked,
    LeaseLost: _lease_lost,
    StopAsked: _stop_asked,
    GraceOver: _grace_over,
}


def _claims(state: State) -> Step:
    """Claim what waits, as long as there is room."""
    room = state.limit - len(state.claiming) - len(state.running)
    if state.is_stopping or room <= 0 or not state.waiting:
        return state, ()
    taken, left = state.waiting[:room], state.waiting[room:]
    claiming = state.claiming | {offer.id for offer in taken}
    return replace(state, waiting=left, claiming=claiming), tuple(Claim(o) for o in taken)


def _with(some: Mapping[str, V], id: str, value: V) -> Mapping[str, V]:
    return MappingProxyType({**some, id: value})


def _without(some: Mapping[str, V], id: str) -> Mapping[str, V]:
    return MappingProxyType({key: value for key, value in some.items() if key != id})
