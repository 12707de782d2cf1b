"""Where a run's records stop being what they should be: the answer of every kind of verification.

Three levels are told apart. *Integrity*: the bytes are those that were written. *Protocol*: the
records fit together (one result for each call, sums that add up). *Decisions*: what the program
recorded is what its rules decide from the records before.
"""

from dataclasses import dataclass
from typing import Literal

from codetether_ray.core.codec import JsonObject

Level = Literal["integrity", "protocol", "decisions"]

Cause = Literal["damaged", "tampered", "newer code"]
"""`newer code`: other rules than those here wrote the record, so that nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """The first record that is not what it should be, and what it should be.

    `part` names the place inside it where there is one (`the system prompt`, `message 4`). `seq`
    and `offset` are those of the record (-1 where no record can be named).
    """

    level: Level
    what: str
    cause: Cause = "tampered"
    agent: str = ""
    step: int | None = None
    seq: int = -1
    offset: int = -1
    part: str = ""
    recorded: str = ""
    expected: str = ""

    def sentence(self) -> str:
        """All of it for people, on one line."""
        where = [
            f"agent {self.agent}" if self.agent else "",
            "" if self.step is None else f"step {self.step}",
            f"record {self.seq}" if self.seq >= 0 else "",
            f"byte {self.offset}" if self.offset >= 0 else "",
        ]
        place = ", ".join(word for word in where if word)
        words = self.what if not self.part else f"{self.what} ({self.part})"
        if self.recorded or self.expected:
            words += f": recorded {self.recorded or 'nothing'}"
            words += f"; expected {self.expected}" if self.expected else ""
        return f"{place}: {words}" if place else words

    def to_json(self) -> JsonObject:
        """All members, empty ones included, so that the keys are stable."""
        return {
            "level": self.level,
            "cause": self.cause,
            "agent": self.agent or None,
            "step": self.step,
            "seq": self.seq if self.seq >= 0 else None,
            "offset": self.offset if self.offset >= 0 else None,
            "what": self.what,
            "part": self.part or None,
            "recorded": self.recorded or None,
            "expected": self.expected or None,
        }
