"""How far a key result is, and whether it is at risk: by what was measured, never by turns spent.

Progress goes from the baseline to the target in the direction that is better. Without a baseline
it is the share of the target. A target may be 0. What is not known is no progress.
"""

from collections.abc import Sequence

from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import KeyResult, KeyResultStatus, Okr

STILL = 3
"""Measurements in a row without a better value, or without any, that put a key result at risk."""


def is_met(key_result: KeyResult) -> bool:
    """Whether the newest value reaches the target."""
    value = key_result.current_value
    return value is not None and _reaches(key_result, value)


def progress(key_result: KeyResult) -> float:
    """From 0 to 1."""
    value, target, base = key_result.current_value, key_result.target_value, key_result.baseline
    if value is None:
        return 0.0
    if _reaches(key_result, value):
        return 1.0
    if base is not None:
        way = target - base
        return _within((value - base) / way) if not _reaches(key_result, base) and way else 0.0
    if key_result.direction == "lower":
        return _within(target / value) if target > 0 and value > 0 else 0.0
    return _within(value / target) if target > 0 else 0.0


def total_progress(okr: Okr) -> float:
    """The mean over the key results, from 0 to 1; 0 without any."""
    found = [progress(key_result) for key_result in okr.key_results]
    return sum(found) / len(found) if found else 0.0


def all_met(okr: Okr) -> bool:
    """Whether every key result is met."""
    return bool(okr.key_results) and all(is_met(key_result) for key_result in okr.key_results)


def standing(key_result: KeyResult, risk: str = "") -> KeyResultStatus:
    """The status that the newest value gives, where `risk` says why it is at risk."""
    if is_met(key_result):
        return "completed"
    if risk:
        return "at_risk"
    return "in_progress" if progress(key_result) > 0 else "pending"


def risk(key_result: KeyResult, readings: Sequence[KrReading]) -> str:
    """Why an unmet key result is at risk, in a sentence; empty where it is not.

    `readings` are its own, oldest first, the baseline among them.
    """
    turns = [reading for reading in readings if not reading.is_baseline]
    if not turns or is_met(key_result):
        return ""
    blind = _unknown_at_end(turns)
    if blind >= STILL:
        return f"it could not be measured {blind} times in a row: {turns[-1].reason}"
    known = [r.value for r in readings if r.value is not None]
    if turns[-1].value is None or len(known) < 2:
        return ""
    return _trend(key_result, known)


def _trend(key_result: KeyResult, known: Sequence[float]) -> str:
    base = key_result.baseline
    if base is not None and _is_better(key_result, base, known[-1]):
        return f"it moved away from its target: {known[-1]:g}, and {base:g} before the work began"
    if len(known) > 2 and all(
        _is_better(key_result, a, b) for a, b in zip(known[-3:-1], known[-2:], strict=True)
    ):
        return f"it moves away from its target: {known[-3]:g}, {known[-2]:g}, {known[-1]:g}"
    if len(known) > STILL and not any(
        _is_better(key_result, value, known[-STILL - 1]) for value in known[-STILL:]
    ):
        return f"it has not come nearer to its target in {STILL} measurements"
    return ""


def _unknown_at_end(turns: Sequence[KrReading]) -> int:
    found = 0
    for reading in reversed(turns):
        if reading.value is not None:
            break
        found += 1
    return found


def _reaches(key_result: KeyResult, value: float) -> bool:
    if key_result.direction == "lower":
        return value <= key_result.target_value
    return value >= key_result.target_value


def _is_better(key_result: KeyResult, value: float, than: float) -> bool:
    return value < than if key_result.direction == "lower" else value > than


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0)
