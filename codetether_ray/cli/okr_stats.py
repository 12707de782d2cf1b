"""`codetether okr stats`: how many there are, by status."""

import json
from collections import Counter
from collections.abc import Iterable

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples


@click.command("stats", epilog=examples("codetether okr stats", "codetether okr stats --json"))
@okr_options.id_option()
@okr_options.as_json
@options.address
def command(id: str, as_json: bool, address: str | None) -> int:
    """Count OKRs, their key results and their runs by status."""
    with okr_options.opened(address) as source:
        okrs, runs = okr_options.everything(source, id)
    results = [key_result for okr in okrs for key_result in okr.key_results]
    out = {
        "total_okrs": len(okrs),
        "total_runs": len(runs),
        "okr_status_counts": _counts(okr.status for okr in okrs),
        "run_status_counts": _counts(run.status for run in runs),
        "total_key_results": len(results),
        "key_result_status_counts": _counts(key_result.status for key_result in results),
    }
    if as_json:
        click.echo(json.dumps(out, indent=2))
        return exit_codes.SUCCESS
    for what, counted in (
        ("OKRs", "okr_status_counts"),
        ("key results", "key_result_status_counts"),
        ("runs", "run_status_counts"),
    ):
        found: dict[str, int] = out[counted]  # type: ignore[assignment]
        kinds = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in found.items())
        click.echo(f"{what:12} {sum(found.values()):4}" + (f"  ({kinds})" if kinds else ""))
    return exit_codes.SUCCESS


def _counts(statuses: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(statuses).items()))
