"""`codetether cancel`: stop a run that another process drives."""

import os
import time

import click

from codetether_ray.cli import exit_codes
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
def command(run_id: str, wait_s: float) -> int:
    """Stop a run as Ctrl-C would: its agents end cleanly, and it can be continued."""
    from codetether_ray.bootstrap import driver
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.bootstrap.tombstones import refuse_forgotten
    from codetether_ray.cli.output import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.core.errors import UnknownRunError
    from codetether_ray.core.spec import Correlation
    from codetether_ray.journal.segments import run_directory
    from codetether_ray.ports.audit import Action

    folder = data_dir(os.environ)
    found = driver.find(folder, run_id) or driver.find_unattended(folder, run_id)
    if found is None:
        if not run_directory(folder, run_id).exists():
            refuse_forgotten(folder, run_id)
            raise UnknownRunError(run_id)
        click.echo(f"{run_id} is not running; nothing was stopped")
        return exit_codes.SUCCESS
    action = Action(
        category="session",
        action="run.cancel",
        resource=run_id,
        correlation=Correlation(run_id=run_id),
    )
    with acting(folder, action, notice=say):
        driver.stop(found)
    deadline = time.monotonic() + wait_s
    while found.is_alive and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if found.is_alive:
        who = (
            f"process {found.pid} still tidies up" if found.pid else "Ray starts its process again"
        )
        click.echo(f"{run_id} was told to stop; {who}", err=True)
        return exit_codes.FAILED
    click.echo(f"{run_id} was stopped")
    return exit_codes.SUCCESS
