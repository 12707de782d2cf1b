"""`codetether down`: end the Ray head that `codetether up` started."""

import os

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples


@click.command("down", epilog=examples("codetether down"))
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="S",
    help="How long to wait for its end.",
)
def command(wait_s: float) -> int:
    """End the Ray head that `codetether up` started, and no other. Runs on it are interrupted."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.bootstrap.head import stop
    from codetether_ray.cli.output import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    folder = data_dir(os.environ)
    with acting(folder, Action(category="sandbox", action="head.down"), notice=say) as done:
        head = stop(folder, wait_s)
        done.detail["found"] = head is not None
    if head is None:
        click.echo("no head of yours is running; nothing was ended")
    else:
        click.echo(f"the Ray head at {head.address} was ended")
    return exit_codes.SUCCESS
