"""`codetether sessions`: the conversations of this directory."""

import json
import time
from pathlib import Path

import click

from codetether_ray.cli import exit_codes, options
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
@options.address
def sessions(as_json: bool, everywhere: bool, address: str | None) -> int:
    """List sessions of this directory, newest first, each with the command that goes on with it."""
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.bootstrap.truth.runs import ROWS
    from codetether_ray.cli.run_table import print_table
    from codetether_ray.cli.style import say

    directory = None if everywhere else str(Path.cwd())
    with reading(address, say) as source:
        rows = source.ask(ROWS, None, "session", directory, time.time())
    rows = [{**item, "source": source.label} for item in rows]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    print_table(rows)
    if not rows:
        here = "no sessions of this directory yet; `codetether sessions --all` lists the others"
        click.echo("no sessions yet" if everywhere else here, err=True)
    return exit_codes.SUCCESS


command = sessions
