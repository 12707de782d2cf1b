"""OKRs as `--json` prints them: every member of the reference's shapes, and ours."""

from dataclasses import fields, is_dataclass
from typing import Any, cast

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import KeyResult, Okr, OkrRun
from codetether_ray.okr.progress import is_met, progress, total_progress
from codetether_ray.okr.transitions import is_resumable


def okr_json(okr: Okr) -> JsonObject:
    """An OKR; `progress` is from 0 to 1."""
    out = _whole(okr)
    out["progress"] = round(total_progress(okr), 6)
    out["key_results"] = [key_result_json(key_result) for key_result in okr.key_results]
    return out


def key_result_json(key_result: KeyResult) -> JsonObject:
    """A key result; `current_value` is null where nothing is known."""
    out = _whole(key_result)
    out["progress"] = round(progress(key_result), 6)
    out["is_met"] = is_met(key_result)
    return out


def run_json(run: OkrRun) -> JsonObject:
    """A run; what starts it is left out."""
    out = _whole(run)
    out.pop("request", None)
    out["is_resumable"] = is_resumable(run)
    return out


def reading_json(reading: KrReading) -> JsonObject:
    """A reading."""
    return _whole(reading)


def _whole(value: Any) -> JsonObject:
    """Every field, the ones with their default too (which `encode` leaves out)."""
    tag = getattr(value, "tag", None)
    out: JsonObject = {} if tag is None else {"type": tag}
    for field in fields(value):
        out[field.name] = _json(getattr(value, field.name))
    return out


def _json(value: Any) -> JsonValue:
    if is_dataclass(value):
        return _whole(value)
    if isinstance(value, (tuple, list)):
        return [_json(item) for item in value]
    return cast("JsonValue", value)
