"""`codetether okr resume`: an approved run starts, or one that began goes on."""

import json
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.bootstrap.truth.reading import Source


@click.command(
    "resume",
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "codetether okr resume --id 3f2a",
        "codetether okr resume --id 3f2a --max-tokens 2000000",
        "codetether okr resume --id rly_00mws4k4xr_686d8be8 --json",
    ),
)
@okr_options.id_option(is_required=True)
@okr_options.as_json
@options.address
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF run]...")
@click.pass_context
def command(
    context: click.Context, id: str, as_json: bool, address: str | None, more: tuple[str, ...]
) -> int:
    """Start an approved run, or go on with one that paused, failed or was cut off.

    It goes on where its journal ends: nothing that was finished is done again. Options of
    `codetether run` may follow (a new budget, say). Through an ingress it is started there, on
    what was ordered with the OKR, and this command does not wait for it.
    """
    with okr_options.opened(address) as source:
        okr, run = run_of(source, id)
        if source.truth.http is not None:
            return _there(source, run.id, more, as_json=as_json)
    arguments = ["--format", "json"] if as_json else []
    if address is not None:
        arguments += ["--address", address]
    if run.relay_id:
        return _go_on(context, ["--resume", run.relay_id, *arguments, *more])
    return _start(context, okr, run, [*arguments, *more])


def run_of(source: Any, id: str) -> Any:
    """The OKR and its run that are meant; of an OKR, the newest that can start or go on.

    Raises:
        UnknownOkrError: there is none.
        NotApprovedError: nobody has approved it yet.
        OkrTransitionError: it is over.
    """
    from codetether_ray.core.errors import (
        NotApprovedError,
        OkrTransitionError,
        UnknownOkrError,
    )
    from codetether_ray.okr.transitions import is_extensible, is_over, is_resumable

    okrs, runs = okr_options.everything(source, id)
    if not runs:
        raise UnknownOkrError(id, "run of OKR")
    run = next((run for run in reversed(runs) if not is_over(run)), runs[-1])
    if run.status == "pending_approval":
        raise NotApprovedError(run.id, run.status, "resumed", "")
    if not (run.status == "approved" or is_resumable(run) or is_extensible(run)):
        raise OkrTransitionError(run.id, run.status, "resumed")
    return okrs[0], run


def _there(source: "Source", id: str, more: tuple[str, ...], *, as_json: bool) -> int:
    """Have an ingress start the relay.

    Raises:
        CodetetherError: it could not be started.
    """
    from codetether_ray.bootstrap.truth.questions import RESUME

    if more:
        raise click.UsageError(
            f"an ingress takes no {more[0]} here; POST /v1/okrs/{id}/resume takes other terms"
        )
    run_id = str(source.ask(RESUME, id))
    if as_json:
        click.echo(json.dumps({"run_id": run_id, "okr_run_id": id}))
    else:
        click.echo(run_id)
        click.echo(f"  follow: codetether replay {run_id} --follow", err=True)
    return exit_codes.SUCCESS


def _start(context: click.Context, okr: Any, run: Any, arguments: list[str]) -> int:
    """A relay for a run that has none yet: its task is what the objective says."""
    import asyncio

    from codetether_ray.cli.relay_run import relay
    from codetether_ray.cli.run import command as run_command
    from codetether_ray.cli.slash import Slash

    slash = Slash(verb="go", text=f"{okr.title}\n\n{okr.description}".strip())
    with run_command.make_context("run", [*arguments, slash.text], parent=context.parent) as inner:
        given = dict(inner.params)
    form = given.pop("form")
    return asyncio.run(relay(slash, form, given, okr_run_id=run.id))


def _go_on(context: click.Context, arguments: list[str]) -> int:
    """As `codetether run --resume RELAY` does."""
    from codetether_ray.cli.run import command as run_command

    with run_command.make_context("run", arguments, parent=context.parent) as inner:
        code = run_command.invoke(inner)
    return code if isinstance(code, int) else exit_codes.SUCCESS
