"""What a relay came to, truthfully, and the JSON that `--format json` prints.

The JSON has the keys of the reference program and more beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from codetether_ray.core import errors
from codetether_ray.core.codec import JsonObject, JsonValue, encode_object
from codetether_ray.core.events import KrMeasured, TurnDone
from codetether_ray.core.usage import Usage
from codetether_ray.relay.schedule import RelayOutcome

_FINAL_CHARS = 4_000
_STATUS: Mapping[str, str] = MappingProxyType(
    {"max_rounds": "max_rounds_reached", "failed": "agent_error"}
)
"""The reference's words for outcomes; else they are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayResult:
    """How a relay ended."""

    relay_id: str
    outcome: RelayOutcome
    reason: str = ""
    """Why it ended so, in words."""
    model: str = ""
    agents: tuple[str, ...] = ()
    turns: tuple[TurnDone, ...] = ()
    has_key_results: bool = False
    measured: tuple[KrMeasured, ...] = ()
    """By turn; the first is the baseline."""
    okr_id: str = ""
    okr_run_id: str = ""
    error: str = ""
    error_kind: str = ""
    base: str = ""
    branch: str = ""
    commit: str = ""
    diffstat: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    elapsed_s: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def is_success(self) -> bool:
        """Whether what was asked is done: every key result met, where there are any."""
        if self.has_key_results:
            return self.outcome == "all_met"
        return self.outcome in ("converged", "max_rounds", "all_met")

    @property
    def rounds(self) -> int:
        """Rounds that were begun."""
        return self.turns[-1].round if self.turns else 0

    @property
    def final_handoff(self) -> str:
        """What the last member said."""
        return self.turns[-1].result.text[:_FINAL_CHARS] if self.turns else ""

    @property
    def summary(self) -> str:
        """How it went, in a sentence."""
        done = f"{_plural(len(self.turns), 'turn')} by {_plural(len(self.agents), 'agent')}"
        results = ""
        if self.has_key_results and self.measured:
            last = self.measured[-1]
            results = f"; {len(last.met)} of {len(last.readings)} key results met"
        why = self.reason or self.error or self.outcome
        return f"{done}{results}; {why}"

    def to_json(self) -> JsonObject:
        """The object that `--format json` prints."""
        agents: list[JsonValue] = list(self.agents)
        out: JsonObject = {
            "success": self.is_success,
            "outcome": self.outcome,
            "status": _STATUS.get(self.outcome, self.outcome),
            "relay_id": self.relay_id,
            "model": self.model,
            "agent_count": len(self.agents),
            "turns": len(self.turns),
            "rounds": self.rounds,
            "agents": agents,
            "final_handoff": self.final_handoff,
            "summary": self.summary,
            "failure": self.error or None,
            "error": self.error or None,
            "okr_id": self.okr_id or None,
            "okr_run_id": self.okr_run_id or None,
            "key_results": self._key_results(),
            "branch": self.branch or None,
            "base": self.base or None,
            "commit": self.commit or None,
            "diffstat": self.diffstat,
            "usage": self.usage.to_json(),
            "cost_usd": self.cost_usd,
            "tokens": self.usage.total_tokens,
            "execution_time_ms": round(self.elapsed_s * 1000),
            "notes": list(self.notes),
        }
        return {**out, "exit_code": exit_code(self)}

    def _key_results(self) -> list[JsonValue]:
        """Each key result with all its readings."""
        out: list[JsonValue] = []
        if not self.measured:
            return out
        last = self.measured[-1]
        for reading in last.readings:
            told = (last.standing or {}).get(reading.kr_id)
            readings: list[JsonValue] = [
                encode_object(each)
                for measured in self.measured
                for each in measured.readings
                if each.kr_id == reading.kr_id
            ]
            entry: JsonObject = {
                "id": reading.kr_id,
                "value": reading.value,
                "is_met": reading.kr_id in last.met,
                **(told if isinstance(told, dict) else {}),
                "readings": readings,
            }
            out.append(entry)
        return out


def exit_code(result: RelayResult) -> int:
    """What the command ends with: 0 only for success; 3, 4 and 130 where they say more than 1."""
    if result.is_success:
        return 0
    if result.outcome == "interrupted":
        return 130
    if result.outcome == "pending_approval":
        return errors.DecisionNeededError.exit_code
    if result.error_kind and result.outcome not in ("max_rounds", "converged"):
        kind = getattr(errors, result.error_kind, errors.CodetetherError)
        return int(getattr(kind, "exit_code", 1))
    return 1


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
