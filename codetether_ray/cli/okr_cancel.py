"""`codetether okr cancel`: a run that is given up for good."""

import json
import time

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples


@click.command(
    "cancel",
    epilog=examples(
        "codetether okr cancel --id 3f2a",
        "codetether okr cancel --id rly_00mws4k4xr_686d8be8 --json",
    ),
)
@okr_options.id_option(is_required=True)
@okr_options.as_json
@options.address
def command(id: str, as_json: bool, address: str | None) -> int:
    """Give a run up for good; the relay that works for it is stopped as Ctrl-C would.

    `codetether cancel RELAY` only stops the relay, which can then be resumed.
    """
    from codetether_ray.bootstrap.truth.okrs import CANCEL
    from codetether_ray.bootstrap.truth.runs import CANCEL as STOP
    from codetether_ray.core.errors import UnknownOkrError, UnknownRunError
    from codetether_ray.okr.json_form import okr_json, run_json
    from codetether_ray.okr.stamps import moment
    from codetether_ray.okr.transitions import is_over

    with okr_options.opened(address) as source:
        _, runs = okr_options.everything(source, id)
        if not runs:
            raise UnknownOkrError(id, "run of OKR")
        run = next((one for one in reversed(runs) if not is_over(one)), runs[-1])
        okr, run = source.ask(CANCEL, run.id, moment(time.time()))
        is_stopped = False
        if run.relay_id:
            asker = "" if source.is_here else okr_options.principal()
            try:
                is_stopped = bool(source.ask(STOP, run.relay_id, asker))
            except UnknownRunError:  # its relay never began
                is_stopped = False
    if as_json:
        out = {"okr": okr_json(okr), "run": run_json(run), "was_running": is_stopped}
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    also = f"; its relay {run.relay_id} was told to stop" if is_stopped else ""
    click.echo(f"cancelled: {okr.title} (run {run.id}){also}")
    return exit_codes.SUCCESS
