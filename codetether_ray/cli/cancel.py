"""`codetether cancel`: stop a run that another process drives."""

import time

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

_POLL_S = 0.1


@click.command(
    "cancel",
    epilog=examples(
        "codetether runs",
        "codetether cancel ses_00mws4k4xr_686d8be8",
        "codetether cancel swm_00mws4k4xr_686d8be8 --wait 120",
    ),
)
@click.argument("run_id", metavar="RUN")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="S",
    help="How long to wait for its end.",
)
@options.address
def command(run_id: str, wait_s: float, address: str | None) -> int:
    """Stop a run as Ctrl-C would: its agents end cleanly, and it can be continued."""
    from codetether_ray.bootstrap.principal import this_principal
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.bootstrap.truth.runs import CANCEL, STANDING
    from codetether_ray.cli.style import say

    with reading(address, say) as source:
        if not source.ask(CANCEL, run_id, "" if source.is_here else this_principal()):
            click.echo(f"{run_id} is not running; nothing was stopped")
            return exit_codes.SUCCESS
        deadline = time.monotonic() + wait_s
        while (now := source.ask(STANDING, run_id)).is_alive and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    if now.is_alive:
        who = f"process {now.pid} still tidies up" if now.pid else "Ray starts its process again"
        click.echo(f"{run_id} was told to stop; {who}", err=True)
        return exit_codes.FAILED
    click.echo(f"{run_id} was stopped")
    return exit_codes.SUCCESS
