"""The closing summary of `/go` and `/autochat`, from the object that `--format json` prints."""

from typing import Any

from codetether_ray.cli import words
from codetether_ray.cli.summary import next_steps
from codetether_ray.core.usage import Usage

_BAR = 10


def relay_summary(result: dict[str, Any]) -> list[str]:
    """What was done, by whom, how the key results stand, what it took, and what to type next."""
    out = [f"relay {result['relay_id']}: {result['outcome'].replace('_', ' ')}"]
    out.append(f"  {words.one_line(result['summary'], 400)}")
    if result["error"] and result["error"] not in result["summary"]:
        out.append(f"  {words.one_line(result['error'], 1000)}")
    out += [f"  note: {note}" for note in result["notes"]]
    if result["agents"]:
        out.append(f"team: {', '.join('@' + name for name in result['agents'])}")
    out += [_key_result(each) for each in result["key_results"]]
    if result["diffstat"]:
        out += ["", result["diffstat"].rstrip("\n")]
    out += ["", _totals(result), *next_steps(result)]
    if result["outcome"] == "max_rounds":
        more = f"codetether run --resume {result['relay_id']} --rounds {result['rounds'] * 2}"
        out.append(f"further rounds: {more}")
    if result["okr_run_id"]:
        out.append(f"key results: codetether okr report --id {result['okr_run_id']}")
    return out


def _key_result(one: dict[str, Any]) -> str:
    share = float(one.get("progress") or 0.0)
    full = int(share * _BAR)
    unit = f" {one['unit']}" if one.get("unit") else ""
    value = "unknown" if one["value"] is None else f"{one['value']:g}{unit}"
    sign = "at most" if one.get("direction") == "lower" else "at least"
    met = "met" if one["is_met"] else "not met"
    title = words.one_line(str(one.get("title") or one["id"]), 70)
    target = f"{sign} {float(one['target']):g}{unit}" if "target" in one else "?"
    bar = "█" * full + "░" * (_BAR - full)
    return f"  {bar} {share:4.0%}  {title}: {value} ({target}): {met}"


def _totals(result: dict[str, Any]) -> str:
    counts = {k: v for k, v in result["usage"].items() if k in Usage.__dataclass_fields__}
    spent = f"{words.tokens(Usage(**counts))} · {words.dollars(result['cost_usd'])}"
    took = words.seconds(result["execution_time_ms"] / 1000)
    return f"total: {words.plural(result['turns'], 'turn')} · {spent} · {took}"
