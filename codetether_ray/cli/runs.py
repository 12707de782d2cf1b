"""`codetether runs`: every run of this user, here or on a cluster."""

import json
import time

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples


@click.command(
    "runs",
    epilog=examples(
        "codetether runs",
        "codetether runs --limit 5",
        "codetether runs --address 10.0.0.5:6379",
        "codetether runs --json | jq -r '.[] | select(.state == \"interrupted\") | .id'",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="The newest N.",
)
@options.address
def runs(as_json: bool, limit: int, address: str | None) -> int:
    """List runs: what they are, how they ended, what they cost, and how to go on with them.

    A run is running, finished, interrupted (nobody writes it and it never ended) or damaged.
    """
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.bootstrap.truth.runs import ROWS
    from codetether_ray.cli.run_table import print_table
    from codetether_ray.cli.style import say

    with reading(address, say) as source:
        rows = source.ask(ROWS, limit, "", None, time.time())
    rows = [{**item, "source": source.label} for item in rows]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    print_table(rows)
    if not rows:
        click.echo("no runs yet; `codetether run` and `codetether swarm` make them", err=True)
    return exit_codes.SUCCESS


command = runs
