"""What makes an OKR sound, whoever wrote it; and an OKR from its JSON draft."""

import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from codetether_ray.core.errors import InvalidOkrError
from codetether_ray.core.measures import MeasureTerms, RubricMeasure
from codetether_ray.core.okrs import Direction, KeyResult, KrMetricType, Okr, OkrRun
from codetether_ray.okr.stamps import NewId
from codetether_ray.okr.terms import check_measure, is_yes_or_no, read_measure

_TITLE_CHARS = 200


def check_okr(okr: Okr) -> None:
    """Refuse an OKR that has no title, no key results, or one that cannot be met or measured.

    Raises:
        InvalidOkrError: it is not sound.
    """
    if not okr.title.strip():
        raise InvalidOkrError("objective", "it has no title")
    if not okr.key_results:
        raise InvalidOkrError("key results", "there are none; an objective needs at least one")
    seen: set[str] = set()
    for number, key_result in enumerate(okr.key_results, 1):
        _check_key_result(key_result, f"key result {number}")
        if key_result.title.casefold() in seen:
            raise InvalidOkrError(f"key result {number}", "its title is another one's as well")
        seen.add(key_result.title.casefold())


def check_run(run: OkrRun) -> None:
    """Refuse a run without a name.

    Raises:
        InvalidOkrError: it has none.
    """
    if not run.name.strip():
        raise InvalidOkrError("run", "it has no name")


def read_okr(data: Mapping[str, Any], new_id: NewId, now: str) -> Okr:
    """An OKR from its draft: `objective`, `description`, `key_results` with `measure` each.

    Raises:
        InvalidOkrError: it is not sound; the place is a JSON path.
    """
    id = new_id("okr")
    entries = data.get("key_results")
    if not isinstance(entries, list):
        raise InvalidOkrError("$.key_results", "it must be a list")
    okr = Okr(
        id=id,
        title=_title(data, "objective", "$"),
        description=_text(data, "description", "$"),
        key_results=tuple(
            _key_result(entry, f"$.key_results[{n}]", id, new_id(f"kr/{n + 1}"), now)
            for n, entry in enumerate(entries)
        ),
        created_at=now,
        updated_at=now,
    )
    check_okr(okr)
    return okr


def _key_result(data: object, where: str, okr_id: str, id: str, now: str) -> KeyResult:
    if not isinstance(data, dict):
        raise InvalidOkrError(where, "it must be an object")
    measure = read_measure(data.get("measure"), f"{where}.measure")
    return KeyResult(
        id=id,
        okr_id=okr_id,
        title=_title(data, "title", where),
        description=_text(data, "description", where),
        target_value=_target(data, where, measure),
        direction=_direction(data, where),
        unit=_flat(_text(data, "unit", where)),
        metric_type=_metric_type(data, where),
        measure=measure,
        created_at=now,
        updated_at=now,
    )


def _check_key_result(key_result: KeyResult, where: str) -> None:
    if not key_result.title.strip():
        raise InvalidOkrError(where, "it has no title")
    target = key_result.target_value
    if not math.isfinite(target) or target < 0:
        raise InvalidOkrError(where, f"its target is {target:g}; it must be a number from 0 up")
    if key_result.direction not in get_args(Direction):
        raise InvalidOkrError(where, "better must be `higher` or `lower`")
    measure = key_result.measure
    if measure is None:
        return
    check_measure(measure, where)
    if is_yes_or_no(measure) and (target != 1 or key_result.direction != "higher"):
        raise InvalidOkrError(
            where, "its measure says 1 (yes) or 0 (no), so the target is 1 and higher is better"
        )
    if isinstance(measure, RubricMeasure) and not 1 <= target <= len(measure.criteria):
        raise InvalidOkrError(
            where, f"its target is {target:g} of {len(measure.criteria)} criteria"
        )


def _target(data: Mapping[str, Any], where: str, measure: MeasureTerms) -> float:
    found = data.get("target", data.get("target_value"))
    if found is None and is_yes_or_no(measure):
        return 1.0
    if found is None and isinstance(measure, RubricMeasure):
        return float(len(measure.criteria))
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise InvalidOkrError(f"{where}.target", f"it is {found!r}; it must be a number")
    try:
        return float(found)
    except OverflowError:
        raise InvalidOkrError(f"{where}.target", "it is too large") from None


def _direction(data: Mapping[str, Any], where: str) -> Direction:
    found = data.get("direction") or "higher"
    if found not in get_args(Direction):
        raise InvalidOkrError(f"{where}.direction", f"it is {found!r}; it must be higher or lower")
    return cast("Direction", found)


def _metric_type(data: Mapping[str, Any], where: str) -> KrMetricType:
    found = data.get("metric_type") or "progress"
    if found not in get_args(KrMetricType):
        kinds = ", ".join(get_args(KrMetricType))
        raise InvalidOkrError(f"{where}.metric_type", f"it is {found!r}; it must be one of {kinds}")
    return cast("KrMetricType", found)


def _title(data: Mapping[str, Any], key: str, where: str) -> str:
    """On one line, and no longer than people read."""
    return _flat(_text(data, key, where, required=True))[:_TITLE_CHARS].strip()


def _flat(text: str) -> str:
    return " ".join(text.split())


def _text(data: Mapping[str, Any], key: str, where: str, *, required: bool = False) -> str:
    value = data.get(key)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise InvalidOkrError(f"{where}.{key}", "it must be a string")
    if required and not value.strip():
        raise InvalidOkrError(f"{where}.{key}", "it is missing or blank")
    return value.strip()
