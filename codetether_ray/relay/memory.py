"""What the journal already knows of a relay: the fold of its coordinator's events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from codetether_ray.core.events import (
    Event,
    KrMeasured,
    RelayContinued,
    RelayStarted,
    TeamFormed,
    TurnBegun,
    TurnDone,
)
from codetether_ray.relay.profiles import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The team, the turns that are over, the measurements. All that decides what comes next."""

    rules: int | None = None
    """Version of the rules that decided last; None: it has not begun."""
    rounds: int = 0
    base: str = ""
    team: tuple[Profile, ...] = ()
    """In the order of turns, those who joined included; empty before it was formed."""
    team_note: str = ""
    begun: int = 0
    """The newest turn that was begun."""
    turns: tuple[TurnDone, ...] = ()
    measured: Mapping[int, KrMeasured] = field(default_factory=dict)
    """By the number of turns before it."""

    @classmethod
    def of(cls, history: Sequence[Event]) -> "Memory":
        """Fold the coordinator's durable events."""
        memory = cls()
        for event in history:
            memory = memory.after(event)
        return memory

    def after(self, event: Event) -> "Memory":
        """The memory with one more event; others than a relay's change nothing."""
        match event:
            case RelayStarted():
                return replace(self, rules=event.rules, rounds=event.rounds, base=event.base)
            case RelayContinued():
                return replace(self, rules=event.rules, rounds=event.rounds)
            case TeamFormed():
                team = tuple(Profile.from_json(each) for each in event.profiles)
                return replace(self, team=team, team_note=event.note)
            case TurnBegun():
                return replace(self, begun=event.turn)
            case TurnDone():
                return replace(self, turns=(*self.turns, event), team=self._joined(event))
            case KrMeasured():
                return replace(self, measured={**self.measured, event.turn: event})
            case _:
                return self

    @property
    def by_name(self) -> dict[str, Profile]:
        """The team's profiles."""
        return {profile.name: profile for profile in self.team}

    @property
    def commit(self) -> str:
        """What the work has come to."""
        return self.turns[-1].commit if self.turns else self.base

    @property
    def specialists(self) -> int:
        """How many have joined."""
        return sum(turn.specialist is not None for turn in self.turns)

    @property
    def standing(self) -> KrMeasured | None:
        """The newest measurement."""
        return self.measured[max(self.measured)] if self.measured else None

    def turns_of(self, name: str) -> tuple[TurnDone, ...]:
        """A member's turns that are over."""
        return tuple(turn for turn in self.turns if turn.member == name)

    def _joined(self, turn: TurnDone) -> tuple[Profile, ...]:
        if turn.specialist is None:
            return self.team
        place = turn.idx + 1
        profile = Profile.from_json(turn.specialist)
        return (*self.team[:place], profile, *self.team[place:])
