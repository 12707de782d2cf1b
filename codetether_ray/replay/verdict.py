"""What the verification of a run found, level by level."""

from dataclasses import dataclass
from typing import Literal

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.departure import Departure, Level

LEVELS: tuple[Level, ...] = ("integrity", "protocol", "decisions")

Status = Literal["verified", "unfinished", "unread", "damaged", "tampered", "newer code"]
"""`unread`: the archive holds a part of it and could not be asked. `unfinished`: all is right as
far as it went. `newer code`: other rules decided it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of one run. `departures` holds the first one of each level that has any."""

    run_id: str
    records: int = 0
    agents: int = 0
    decisions: int = 0
    """How many recorded decisions were decided again."""
    is_finished: bool = False
    is_read: bool = True
    """Whether all of it could be read; what is only in an archive that is down could not."""
    departures: tuple[Departure, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be checked, and why."""

    @property
    def is_ok(self) -> bool:
        """Whether all of it was read, and there is no departure."""
        return self.is_read and not self.departures

    @property
    def status(self) -> Status:
        """The verdict in a word; the gravest departure counts."""
        causes = {departure.cause for departure in self.departures}
        for cause in ("damaged", "tampered", "newer code"):
            if cause in causes:
                return cause
        if not self.is_read:
            return "unread"
        return "verified" if self.is_finished else "unfinished"

    def of_level(self, level: Level) -> Departure | None:
        """The first departure of a level."""
        return next((d for d in self.departures if d.level == level), None)

    def to_json(self) -> JsonObject:
        """The verdict with stable keys."""
        levels: JsonObject = {}
        for level in LEVELS:
            found = self.of_level(level)
            departure: JsonValue = found.to_json() if found else None
            levels[level] = {"ok": found is None, "departure": departure}
        return {
            "run": self.run_id,
            "status": self.status,
            "ok": self.is_ok,
            "finished": self.is_finished,
            "records": self.records,
            "agents": self.agents,
            "decisions": self.decisions,
            "levels": levels,
            "notes": list(self.notes),
        }
