"""`codetether ralph submit`: a PRD worked off on a cluster, whatever becomes of this command."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

_COUNT = click.IntRange(min=1)
_MONEY = click.FloatRange(min=0, min_open=True)
_PRD = "prd.json"


@click.command(
    "submit",
    epilog=examples(
        "codetether ralph submit --prd prd.json --address 10.0.0.5:6379",
        "codetether ralph submit --address http://10.0.0.5:8265 --max-iterations 40 --budget 20",
        "codetether ralph submit --repo https://example.com/app.git --prd docs/prd.json",
    ),
)
@click.option(
    "-p",
    "--prd",
    type=click.Path(path_type=Path),
    default=_PRD,
    show_default=True,
    help="The PRD's file.",
)
@click.option(
    "--repo",
    default=".",
    show_default=True,
    metavar="URL",
    help="The repository to work on; `.` is this checkout, with what is not committed.",
)
@click.option("-m", "--model", metavar="PROVIDER/MODEL", help="The model to ask.")
@click.option(
    "--max-iterations",
    type=_COUNT,
    metavar="N",
    help="Attempts that may be made, of all stories together.  [default: 10]",
)
@click.option(
    "--parallel", type=_COUNT, metavar="N", help="Stories at once.  [default: as many as fit]"
)
@click.option("--budget", type=_MONEY, metavar="USD", help="Spend at most this many dollars.")
@click.option("--max-tokens", type=_COUNT, metavar="N", help="Use at most this many tokens.")
@options.address
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(repo: str, as_json: bool, **given: Any) -> int:
    """Work a PRD off on a cluster, and return as soon as the run has begun there.

    The checkout goes to the head; the run lives there, and is followed and fetched from any node
    of the cluster. It uses the key that the head has for the model's provider. ADDRESS may be
    the head's own, its Ray Client's (ray://), its dashboard's or its ingress' (http://); by the
    last, this machine need not be a node.
    """
    return asyncio.run(_submit(repo, as_json, given))


async def _submit(repo: str, as_json: bool, given: dict[str, Any]) -> int:
    from codetether_ray.bootstrap.ralph.run import RalphRunWish
    from codetether_ray.bootstrap.ralph.submission import submit_ralph
    from codetether_ray.cli.style import say

    wish = RalphRunWish(
        prd=given["prd"],
        directory=Path.cwd(),
        model=given["model"],
        max_iterations=given["max_iterations"],
        parallel=given["parallel"],
        budget=options.budget(given["budget"], given["max_tokens"]),
        address=given["address"],
    )
    made = await submit_ralph(wish, repo, say)
    if as_json:
        click.echo(json.dumps(made, indent=2))
        return exit_codes.SUCCESS
    click.echo(made["run_id"])
    for name in ("follow", "fetch", "cancel"):
        click.echo(f"  {name + ':':8} {made[name]}", err=True)
    if made["job"]:
        click.echo(f"  it is the Ray job {made['job']}", err=True)
    sys.stderr.flush()
    return exit_codes.SUCCESS
