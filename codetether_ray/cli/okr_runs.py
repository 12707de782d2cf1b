"""`codetether okr runs`: runs of OKRs."""

import json

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples


@click.command(
    "runs",
    epilog=examples(
        "codetether okr runs",
        "codetether okr runs --id 3f2a",
        "codetether okr runs --status pending_approval --json",
    ),
)
@okr_options.id_option()
@click.option("--status", default=None, metavar="STATUS", help="Only these: running, paused, …")
@okr_options.as_json
@options.address
def command(id: str, status: str | None, as_json: bool, address: str | None) -> int:
    """List runs: how they ended, who approved them, and how to go on with them."""
    from codetether_ray.cli.okr_words import print_run
    from codetether_ray.okr.json_form import okr_json, run_json

    with okr_options.opened(address) as source:
        okrs, runs = okr_options.everything(source, id)
    _check(status)
    runs = [run for run in runs if status in (None, run.status)]
    by_id = {okr.id: okr for okr in okrs}
    if as_json:
        wanted = {run.okr_id for run in runs}
        out = {
            "okrs": [okr_json(okr) for okr in okrs if okr.id in wanted],
            "runs": [run_json(run) for run in runs],
        }
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    for run in runs:
        print_run(run, by_id[run.okr_id])
    if not runs:
        click.echo('no runs of OKRs; `codetether run "/go …"` makes them', err=True)
    return exit_codes.SUCCESS


def _check(status: str | None) -> None:
    from typing import get_args

    from codetether_ray.core.okrs import OkrRunStatus

    known = get_args(OkrRunStatus)
    if status is not None and status not in known:
        raise click.UsageError(f"--status {status}: it must be one of {', '.join(known)}")
