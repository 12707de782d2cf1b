"""What a relay does: its team, its turns, what was measured. Durable: the journal keeps it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.measures import KrReading
from codetether_ray.core.spec import TurnResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStarted:
    """A relay began on `base` (a commit; empty outside git)."""

    tag: ClassVar[str] = "relay.started"
    task: str
    count: int
    rounds: int
    base: str = ""
    base_note: str = ""
    okr_id: str = ""
    okr_run_id: str = ""
    objective: str = ""
    """What the team is told of the OKR."""
    rules: int = 1
    """Version of the rules that decide it (`relay.rules.RULES`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayContinued:
    """A relay was taken up again by other rules, or for other rounds, than those recorded last."""

    tag: ClassVar[str] = "relay.continued"
    rules: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OkrAnswered:
    """Somebody decided on the relay's objective, before anything was done for it."""

    tag: ClassVar[str] = "relay.okr"
    number: int
    """Which draft, from 1."""
    okr_id: str
    okr_run_id: str
    answer: Literal["approved", "denied", "redraft"]
    """`redraft`: denied, and another one is wanted for `intent`."""
    intent: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFormed:
    """Who takes turns, in that order: each profile as `relay.profiles` encodes it."""

    tag: ClassVar[str] = "relay.team"
    profiles: tuple[JsonObject, ...]
    note: str = ""
    """Why it is not the model's own choice; empty where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnBegun:
    """A member has its turn now."""

    tag: ClassVar[str] = "relay.turn"
    turn: int
    """Counts through the relay, from 1."""
    round: int
    idx: int
    """Its place in the round's order, from 0."""
    member: str
    sender: str
    """Whose handoff it got: a member, or `user`."""
    baton: str
    """SHA-256 of the message that it got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDone:
    """A member's turn is over, its work committed, and its handoff made."""

    tag: ClassVar[str] = "relay.turned"
    turn: int
    round: int
    idx: int
    member: str
    result: TurnResult
    handoff: str = ""
    """What the next one gets, where that is not the whole answer."""
    commit: str = ""
    """Of the run's main branch, from here on."""
    tree: str = ""
    """That commit's tree."""
    specialist: JsonObject | None = None
    """Who joins the team, right after this member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KrMeasured:
    """The key results were measured after `turn` turns; 0 is the baseline."""

    tag: ClassVar[str] = "relay.measured"
    turn: int
    commit: str
    readings: tuple[KrReading, ...]
    met: tuple[str, ...] = ()
    """Ids of the key results that are met by it."""
    standing: JsonObject | None = None
    """Titles, targets and progress, for who looks on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFinished:
    """A relay ended; `result` is the JSON that `--format json` prints."""

    tag: ClassVar[str] = "relay.complete"
    outcome: str
    result: JsonObject


RelayEvent = (
    RelayStarted
    | RelayContinued
    | OkrAnswered
    | TeamFormed
    | TurnBegun
    | TurnDone
    | KrMeasured
    | RelayFinished
)
