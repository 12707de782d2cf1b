"""OKRs and runs in the words that people read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import words

if TYPE_CHECKING:
    from codetether_ray.core.measures import KrReading
    from codetether_ray.core.okrs import KeyResult, Okr, OkrRun

_TITLE = 70
_CELLS = 10


def print_okr(okr: "Okr") -> None:
    """The OKR in a line, and a line for each key result."""
    from codetether_ray.okr.progress import total_progress

    head = f"{okr.id}  {okr.status:10} {total_progress(okr):4.0%}"
    owner = f"  {words.one_line(okr.owner, 30)}" if okr.owner else ""
    click.echo(f"{head}  {words.one_line(okr.title, _TITLE)}{owner}")
    for key_result in okr.key_results:
        click.echo(f"    {_key_result(key_result)}")


def print_okr_whole(okr: "Okr") -> None:
    """All that an OKR says: what is approved or denied must be seen."""
    from codetether_ray.okr.terms import describe

    click.echo(click.style(words.one_line(okr.title, 400), bold=True))
    for line in okr.description.splitlines():
        click.echo(f"  {words.one_line(line, 400)}")
    for number, key_result in enumerate(okr.key_results, 1):
        click.echo(f"\n{number}. {_key_result(key_result)}")
        for line in key_result.description.splitlines():
            click.echo(f"   {words.one_line(line, 400)}")
        click.echo(f"   measured by {words.one_line(describe(key_result.measure), 1000)}")
        for more in _more(key_result):
            click.echo(f"   {words.one_line(more, 1000)}")


def print_run(run: "OkrRun", okr: "Okr | None" = None) -> None:
    """A run in a line or two, and how to go on with it."""
    how = run.status.replace("_", " ")
    if run.outcome and run.outcome != run.status:
        how += f" ({run.outcome})"
    turns = words.plural(run.iterations, "turn")
    click.echo(f"{run.id}  {how:24} {turns:>9}  {words.one_line(run.name, _TITLE)}")
    if okr is not None:
        click.echo(f"    {words.one_line(okr.title, _TITLE)}")
    if run.approval is not None:
        made = run.approval
        why = f": {words.one_line(made.reason, 100)}" if made.reason else ""
        click.echo(f"    {made.decision} by {made.approver or '?'} at {made.decided_at}{why}")
    next_step = go_on(run)
    if next_step:
        click.echo(f"    {next_step}")


def go_on(run: "OkrRun") -> str:
    """The command that goes on with a run; empty where nothing can."""
    from codetether_ray.okr.transitions import is_resumable

    if run.status == "pending_approval":
        return f"codetether okr approve --id {run.id}"
    if run.status == "approved" or is_resumable(run):
        return f"codetether okr resume --id {run.id}"
    return ""


def print_readings(
    okr: "Okr", readings: "tuple[KrReading, ...]", *, with_evidence: bool = False
) -> None:
    """What was measured, key result by key result, turn by turn."""
    for key_result in okr.key_results:
        click.echo(f"  {_key_result(key_result)}")
        for reading in (one for one in readings if one.kr_id == key_result.id):
            when = "baseline" if reading.is_baseline else f"turn {reading.turn}"
            commit = reading.commit[:10]
            click.echo(f"    {when:9} {_value(reading, key_result.unit):>16}  {commit}")
            if with_evidence:
                for line in _evidence(reading):
                    click.echo(f"        {line}")


def bar(share: float) -> str:
    """`█████░░░░░`."""
    full = int(share * _CELLS)
    return "█" * full + "░" * (_CELLS - full)


def _key_result(key_result: "KeyResult") -> str:
    from codetether_ray.okr.progress import progress

    share = progress(key_result)
    unit = f" {key_result.unit}" if key_result.unit else ""
    now = key_result.current_value
    value = "not measured" if now is None else f"{now:g}{unit}"
    sign = "≤" if key_result.direction == "lower" else "≥"
    start = "" if key_result.baseline is None else f", from {key_result.baseline:g}"
    title = words.one_line(key_result.title, _TITLE)
    state = key_result.status.replace("_", " ")
    target = f"{sign} {key_result.target_value:g}{unit}"
    return f"{bar(share)} {share:4.0%}  {title}: {value} (target {target}{start}) · {state}"


def _more(key_result: "KeyResult") -> Iterator[str]:
    from codetether_ray.core.measures import CommandMeasure, RubricMeasure

    measure = key_result.measure
    if isinstance(measure, CommandMeasure) and measure.files:
        yield f"with {', '.join(measure.files)} as approved"
    if isinstance(measure, RubricMeasure):
        yield from (f"- {text}" for text in measure.criteria)
    if key_result.at_risk_because:
        yield f"at risk: {key_result.at_risk_because}"


def _value(reading: "KrReading", unit: str) -> str:
    return "unknown" if reading.value is None else f"{reading.value:g} {unit}".strip()


def _evidence(reading: "KrReading") -> Iterator[str]:
    if reading.reason:
        yield f"no value: {words.one_line(reading.reason, 200)}"
    yield words.one_line(reading.source, 200)
    for text in reading.evidence:
        yield from (words.one_line(line, 200) for line in text.splitlines()[-5:])
