"""`codetether forget`: remove a run for good, here and in the archive."""

import getpass
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.bootstrap.forget import Forgotten
    from codetether_ray.config.settings import Settings


@click.command(
    "forget",
    epilog=examples(
        "codetether forget ses_…",
        "codetether forget swm_… --yes --keep-work",
    ),
)
@click.argument("run_id", metavar="RUN")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--keep-work",
    is_flag=True,
    help="Leave branches and worktrees whose work is nowhere else, instead of refusing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run_id: str, yes: bool, keep_work: bool, as_json: bool) -> int:
    """Remove RUN for good: its journal, trees, logs, archive objects and Parquet rows.

    A signed tombstone stays, with hashes and no content. A running run is refused, and so is one
    with work that is nowhere else. The audit log stays whole.
    """
    from codetether_ray.config.settings import load_settings
    from codetether_ray.core.errors import UnknownRunError
    from codetether_ray.core.ids import is_run_id

    settings = load_settings(Path.cwd(), os.environ)
    if not is_run_id(run_id):
        raise UnknownRunError(run_id)
    if not yes and not _agreed(run_id):
        return exit_codes.FAILED
    done = _forget(settings, run_id, keep_work=keep_work)
    stone = done.tombstone
    if as_json:
        out = {
            "run_id": run_id,
            "forgotten_at": stone.forgotten_at,
            "by": stone.by,
            "was_done": done.was_done,
            "archive_objects": done.objects,
            "kept": list(done.kept),
        }
        click.echo(json.dumps(out, indent=2))
        return exit_codes.SUCCESS
    for kept in done.kept:
        click.echo(f"kept      {kept}", err=True)
    if done.was_done:
        click.echo(f"{run_id} was forgotten on {stone.forgotten_at} by {stone.by}")
    else:
        there = f", {done.objects} object(s) in the archive" if done.objects else ""
        click.echo(f"{run_id} is forgotten: {stone.stream_bytes} bytes of its journal{there}")
    return exit_codes.SUCCESS


def _agreed(run_id: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here; say --yes")
    return click.confirm(f"Remove {run_id} for good, here and in the archive?", err=True)


def _forget(settings: "Settings", run_id: str, *, keep_work: bool) -> "Forgotten":
    from codetether_ray.bootstrap.archiving.opening import open_archive
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.bootstrap.forget import forget_run
    from codetether_ray.cli.output import say
    from codetether_ray.core.spec import Correlation
    from codetether_ray.ports.audit import Action

    store = open_archive(settings)
    action = Action(
        category="archive",
        action="run.forget",
        resource=run_id,
        correlation=Correlation(run_id=run_id),
    )
    with acting(settings.paths.data, action) as done:
        found = forget_run(
            settings.paths,
            run_id,
            store=store,
            by=f"{getpass.getuser()}@{socket.gethostname()}",
            keep_work=keep_work,
            say=say,
        )
        done.detail = {"stream_bytes": found.tombstone.stream_bytes, "objects": found.objects}
        return found
