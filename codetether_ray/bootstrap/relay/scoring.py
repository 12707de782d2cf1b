"""A relay's key results: measured, kept where its OKR is, and told to who works for them."""

from codetether_ray.bootstrap.okr_store import Okrs
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import KrMeasured
from codetether_ray.core.measures import KrReading, MeasureAt
from codetether_ray.core.okrs import KeyResult, Okr, OkrRun
from codetether_ray.okr.progress import is_met, progress
from codetether_ray.okr.readings import ordered, with_readings
from codetether_ray.okr.stamps import moment
from codetether_ray.okr.terms import describe
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.measuring import Measure


class OkrScoring:
    """Implements `relay.scoring.Scoring` over a measurer and the store of OKRs."""

    def __init__(
        self, okrs: Okrs, okr: Okr, run: OkrRun, measure: Measure, approved: str, clock: Clock
    ) -> None:
        """`approved`: the commit from which what measures is taken."""
        self._okrs = okrs
        self._okr, self._run = okr, run
        self._measure = measure
        self._approved = approved
        self._clock = clock

    async def measure(self, turn: int, commit: str) -> KrMeasured:
        """See `Scoring.measure`."""
        at = MeasureAt(turn=turn, commit=commit, approved=self._approved)
        found = await self._measure(at)
        known = await self._okrs.readings(self._run.id)
        earlier = tuple(reading for reading in known if reading.turn != turn)
        seen = self._seen((*earlier, *found))
        return KrMeasured(
            turn=turn,
            commit=commit,
            readings=found,
            met=tuple(kr.id for kr in seen.key_results if is_met(kr)),
            standing={kr.id: told(kr) for kr in seen.key_results},
        )

    async def keep(self, measured: KrMeasured) -> None:
        """See `Scoring.keep`; a run that is over has all that it is to have."""
        if self._run.status == "completed":
            return
        await self._okrs.record(self._run.id, measured.readings)

    async def is_cancelled(self) -> bool:
        """See `Scoring.is_cancelled`."""
        return (await self._okrs.get_run(self._run.id)).status == "cancelled"

    def _seen(self, readings: tuple[KrReading, ...]) -> Okr:
        return with_readings(self._okr, ordered(readings), moment(self._clock.now()))


def told(key_result: KeyResult) -> JsonObject:
    """A key result as a relay's records and its result have it."""
    return {
        "title": key_result.title,
        "target": key_result.target_value,
        "unit": key_result.unit,
        "direction": key_result.direction,
        "baseline": key_result.baseline,
        "progress": round(progress(key_result), 4),
        "status": key_result.status,
        "at_risk_because": key_result.at_risk_because,
    }


def objective(okr: Okr) -> str:
    """What the team is told of the OKR."""
    lines = [f"Objective: {okr.title}"]
    if okr.description:
        lines.append(okr.description)
    lines.append(
        "Key results, which the harness measures after every turn (nobody can change how):"
    )
    for key_result in okr.key_results:
        better = "at most" if key_result.direction == "lower" else "at least"
        target = f"{better} {key_result.target_value:g} {key_result.unit}".rstrip()
        lines.append(f"- {key_result.title}: {target}; {describe(key_result.measure)}")
    return "\n".join(lines)
