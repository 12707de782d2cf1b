"""`codetether stats`: what runs used and did, summed up from their journals."""

import json
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options, words
from codetether_ray.cli.examples import examples
from codetether_ray.core.errors import UsageError

if TYPE_CHECKING:
    from codetether_ray.core.codec import JsonObject

_AGO = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHOWN = 40  # files in the table; --json has all


@click.command(
    "stats",
    epilog=examples(
        "codetether stats",
        "codetether stats --since 7d --tokens",
        "codetether stats swm_0mbx1c2d3e_5f60718a --tools",
        "codetether stats --json | jq .cost_usd",
    ),
)
@click.argument("run", required=False)
@click.option("--tools", is_flag=True, help="Only tools: calls, failures, time.")
@click.option("--files", is_flag=True, help="Only files that were changed.")
@click.option("--tokens", is_flag=True, help="Only tokens and cost, by model.")
@click.option("--since", metavar="WHEN", help="Count from then on: `7d`, `12h`, `2026-11-01`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.address
def stats(
    run: str | None, since: str | None, as_json: bool, address: str | None, **only: bool
) -> int:
    """Sum up one run, or all: model calls, tokens by model, cost, tools, files, days."""
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.bootstrap.truth.runs import SUMS, sums
    from codetether_ray.cli.style import say

    with reading(address, say) as source:
        run_id = source.find(run) if run else None
        terms = (run_id, _moment(since), only["files"] or not any(only.values()))
        if source.is_here:
            totals, notes = sums(source.truth, *terms, progress=_progress)
        else:  # the head counts: it has the hubs, which know what commands changed
            totals, notes = source.ask(SUMS, *terms)
    for note in notes:
        click.echo(note, err=True)
    found = {**totals, "source": source.label}
    if as_json:
        click.echo(json.dumps(_chosen(found, only), indent=2, ensure_ascii=False))
    else:
        _print(found, only)
    return exit_codes.SUCCESS


_SECTIONS = {"tokens": "models", "tools": "tools", "files": "files"}


def _chosen(found: "JsonObject", only: dict[str, bool]) -> "JsonObject":
    keys = [_SECTIONS[name] for name, is_on in only.items() if is_on]
    return {key: found[key] for key in keys} if keys else found


def _print(found: "JsonObject", only: dict[str, bool]) -> None:
    everything = not any(only.values())
    if everything:
        counted = f"{words.plural(_int(found, 'runs'), 'run')}, "
        counted += f"{words.plural(_int(found, 'agents'), 'agent')}"
        click.echo(f"{counted}; {_spent(found)}")
    if everything or only["tokens"]:
        _table("model", found["models"], _spent)
    if everything or only["tools"]:
        _table("tool", found["tools"], _used)
    if everything or only["files"]:
        _table("path", found["files"], _changed)
    if everything:
        _table("day", found["days"], _day)


def _table(key: str, rows: Any, told: Any) -> None:
    if not rows:
        return
    click.echo(f"\n{key}")
    shown = rows[:_SHOWN]
    width = min(max(words.cells(str(row[key])) for row in shown), 60)
    for row in shown:
        click.echo(f"  {words.column(str(row[key]), width)}  {told(row)}")
    if len(rows) > len(shown):
        click.echo(f"  … {len(rows) - len(shown)} more (--json has all)")


def _spent(row: "JsonObject") -> str:
    calls = words.plural(_int(row, "calls"), "call")
    failed = f" ({_int(row, 'failed')} failed)" if row["failed"] else ""
    cost = row["cost_usd"]
    dollars = words.dollars(None if cost is None else float(str(cost)))
    unpriced = _int(row, "unpriced_calls")
    more = f" and {unpriced} without a price" if unpriced and cost is not None else ""
    return f"{calls}{failed}, {words.count(_int(row, 'tokens'))} tokens, {dollars}{more}"


def _used(row: "JsonObject") -> str:
    calls = words.plural(_int(row, "calls"), "call")
    failed = f"{_int(row, 'failures')} failed"
    return f"{calls}, {failed}, {words.seconds(_int(row, 'elapsed_ms') / 1000)}"


def _day(row: "JsonObject") -> str:
    return f"{words.plural(_int(row, 'runs'), 'run')}, {_spent(row)}"


def _changed(row: "JsonObject") -> str:
    writes = words.plural(_int(row, "writes"), "write")
    return f"{writes}, in {words.plural(_int(row, 'commits'), 'commit')}"


def _int(row: "JsonObject", key: str) -> int:
    return int(str(row[key]))


def _moment(since: str | None) -> float:
    """A time ago, or a date, as seconds since the epoch.

    Raises:
        UsageError: it is neither.
    """
    if since is None:
        return 0.0
    ago = _AGO.fullmatch(since.strip())
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(since.strip())
    except ValueError:
        raise UsageError(
            f"--since {since!r} is neither a time ago (`7d`, `12h`) nor a date (`2026-11-01`)"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and total > 20 and done % 20 == 0:
        click.echo(f"\r{done} of {total} runs\r", nl=False, err=True)


command = stats
