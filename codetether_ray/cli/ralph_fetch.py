"""`codetether ralph fetch`: bring what a submitted run has made into this checkout."""

import asyncio
import json
import os
from pathlib import Path

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples


@click.command(
    "fetch",
    epilog=examples(
        "codetether ralph fetch --run rlp_00mws4k4xr_686d8be8 --address 10.0.0.5:6379",
        "codetether ralph fetch --run rlp_00mws4k4xr_686d8be8 --json | jq -r .branch",
    ),
)
@click.option("--run", "run_id", required=True, metavar="ID", help="The run, as `submit` named it.")
@options.address
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the run's result.")
def command(run_id: str, address: str | None, as_json: bool) -> int:
    """Bring a run's branches into this checkout, and its PRD's state into the PRD's file.

    Nothing that is checked out moves. A run that has not ended gives what it has so far.
    """
    return asyncio.run(_fetch(run_id, address, as_json))


async def _fetch(run_id: str, address: str | None, as_json: bool) -> int:
    from codetether_ray.bootstrap.remote.fetching import fetch
    from codetether_ray.bootstrap.truth.reach import looking
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import find_paths

    async with looking(address, find_paths(os.environ).data, say) as truth:
        result = await fetch(truth, run_id, Path.cwd(), say)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{run_id}: {result['outcome']}")
        if result.get("branch"):
            click.echo(f"branch {result['branch']}")
        if result.get("diffstat"):
            click.echo(str(result["diffstat"]))
    return exit_codes.SUCCESS
