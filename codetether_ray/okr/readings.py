"""What measurements make of an OKR and its run, and as which outcomes they are kept."""

from collections.abc import Sequence
from dataclasses import replace

from codetether_ray.core.measures import CommandMeasure, KrReading
from codetether_ray.core.okrs import KeyResult, KrOutcome, KrOutcomeType, Okr, OkrRun
from codetether_ray.okr.progress import is_met, risk, standing
from codetether_ray.okr.stamps import seeded


def with_readings(okr: Okr, readings: Sequence[KrReading], now: str) -> Okr:
    """The OKR as its newest readings show it; `readings` are all of a run, oldest first."""
    return replace(
        okr, key_results=tuple(_read(kr, _of(kr, readings), now) for kr in okr.key_results)
    )


def run_with_readings(run: OkrRun, readings: Sequence[KrReading], now: str) -> OkrRun:
    """The run as its readings show it: newest values, and how many turns were measured."""
    newest: dict[str, float | None] = {reading.kr_id: reading.value for reading in readings}
    known = {id: value for id, value in newest.items() if value is not None}
    turns = max((reading.turn for reading in readings), default=0)
    return replace(run, kr_progress=known, iterations=max(run.iterations, turns), updated_at=now)


def ordered(readings: Sequence[KrReading]) -> tuple[KrReading, ...]:
    """By turn; within one, as they came."""
    return tuple(sorted(readings, key=lambda reading: reading.turn))


def with_outcomes(okr: Okr, run: OkrRun, readings: Sequence[KrReading]) -> tuple[Okr, OkrRun]:
    """Both with the last reading of each key result as its outcome, in the place of earlier ones.

    `readings` are all of the run, oldest first.
    """
    last = {reading.kr_id: reading for reading in readings}
    of_run = {kr.id: outcome_of(last[kr.id], kr, run.id) for kr in okr.key_results if kr.id in last}
    results = tuple(
        replace(
            kr,
            outcomes=(*(o for o in kr.outcomes if o.run_id != run.id), of_run[kr.id]),
        )
        if kr.id in of_run
        else kr
        for kr in okr.key_results
    )
    return replace(okr, key_results=results), replace(run, outcomes=tuple(of_run.values()))


def outcome_of(reading: KrReading, key_result: KeyResult, run_id: str) -> KrOutcome:
    """A reading as evidence of its key result; the same reading gives the same outcome."""
    when = "before the first turn" if reading.is_baseline else f"after turn {reading.turn}"
    found = "unknown" if reading.value is None else f"{reading.value:g} {key_result.unit}".strip()
    facts = [f"commit:{reading.commit}"]
    if reading.exit_code is not None:
        facts.append(f"exit_status:{reading.exit_code}")
    if reading.reason:
        facts.append(f"reason:{reading.reason}")
    facts += [f"restored:{path}" for path in reading.restored]
    return KrOutcome(
        id=seeded(run_id)(f"{reading.kr_id}/{reading.turn}"),
        kr_id=reading.kr_id,
        run_id=run_id,
        description=f"{key_result.title}: {found}, {when}",
        outcome_type=_type(reading, key_result),
        value=reading.value,
        evidence=(*facts, *reading.evidence),
        source=reading.source,
        created_at=reading.measured_at,
    )


def _type(reading: KrReading, key_result: KeyResult) -> KrOutcomeType:
    if not is_met(replace(key_result, current_value=reading.value)):
        return "evidence"
    measure = key_result.measure
    is_test = isinstance(measure, CommandMeasure) and measure.parse == "exit_status"
    return "test_pass" if is_test else "metric_achievement"


def _of(key_result: KeyResult, readings: Sequence[KrReading]) -> list[KrReading]:
    return [reading for reading in readings if reading.kr_id == key_result.id]


def _read(key_result: KeyResult, readings: list[KrReading], now: str) -> KeyResult:
    if not readings:
        return key_result
    first = key_result.baseline
    if first is None:  # a later run goes on from where the first one began
        first = next((r.value for r in readings if r.is_baseline), None)
    seen = replace(key_result, current_value=readings[-1].value, baseline=first, updated_at=now)
    because = risk(seen, readings)
    return replace(seen, status=standing(seen, because), at_risk_because=because)
