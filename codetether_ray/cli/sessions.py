"""`codetether sessions`: the conversations of this directory."""

import json
import os
import time
from pathlib import Path

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples


@click.command(
    "sessions",
    epilog=examples(
        "codetether sessions",
        "codetether sessions --all",
        'codetether run --continue "and now the tests"',
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--all", "everywhere", is_flag=True, help="Of every directory, not only this one.")
def sessions(as_json: bool, everywhere: bool) -> int:
    """List sessions of this directory, newest first, each with the command that goes on with it."""
    from codetether_ray.cli.run_table import print_table, row
    from codetether_ray.config.paths import data_dir
    from codetether_ray.journal.listing import list_runs, sessions_of

    folder = data_dir(os.environ)
    now = time.time()
    if everywhere:
        found = tuple(summary for summary in list_runs(folder) if summary.kind == "session")
    else:
        found = sessions_of(folder, Path.cwd())
    rows = [row(summary, folder, now) for summary in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    print_table(rows)
    if not rows:
        here = "no sessions of this directory yet; `codetether sessions --all` lists the others"
        click.echo("no sessions yet" if everywhere else here, err=True)
    return exit_codes.SUCCESS


command = sessions
