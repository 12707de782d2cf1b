"""`codetether okr status`: one OKR with all that belongs to it."""

import json

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples


@click.command(
    "status",
    epilog=examples(
        "codetether okr status --id 3f2a",
        "codetether okr status --id rly_00mws4k4xr_686d8be8 --evidence",
        "codetether okr status --id 3f2a --json",
    ),
)
@okr_options.id_option(is_required=True)
@click.option("--evidence", is_flag=True, help="With what each measurement said.")
@okr_options.as_json
@options.address
def command(id: str, evidence: bool, as_json: bool, address: str | None) -> int:
    """Show an OKR: key results, how each is measured, what was found, and its runs."""
    from codetether_ray.bootstrap.truth.okrs import READINGS
    from codetether_ray.cli.okr_words import print_okr_whole, print_readings, print_run
    from codetether_ray.okr.json_form import okr_json, reading_json, run_json

    with okr_options.opened(address) as source:
        (okr,), runs = okr_options.everything(source, id)
        read = {run.id: source.ask(READINGS, run.id) for run in runs}
    if as_json:
        out = {
            "okr": okr_json(okr),
            "runs": [run_json(run) for run in runs],
            "readings": {key: [reading_json(one) for one in found] for key, found in read.items()},
        }
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    click.echo(f"{okr.id}  {okr.status}" + (f"  {okr.owner}" if okr.owner else ""))
    print_okr_whole(okr)
    for run in runs:
        click.echo("")
        print_run(run)
        if evidence:
            print_readings(okr, read[run.id], with_evidence=True)
    return exit_codes.SUCCESS
