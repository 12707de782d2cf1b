"""`codetether okr deny`: a draft that shall not be pursued."""

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Literal

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.bootstrap.truth.reading import Source
    from codetether_ray.core.okrs import Okr, OkrRun


@click.command(
    "deny",
    epilog=examples(
        "codetether okr deny --id 3f2a",
        "codetether okr deny --id 3f2a --reason 'measure the p99 instead'",
    ),
)
@okr_options.id_option(is_required=True)
@click.option("--reason", default="", help="Why; kept with the decision.")
@okr_options.as_json
@options.address
def command(id: str, reason: str, as_json: bool, address: str | None) -> int:
    """Deny a draft that waits for approval. It ends with 1, as every denial does."""
    with okr_options.opened(address) as source:
        okr, run = okr_options.waiting(source, id)
        return decided(source, okr, run, "denied", reason, as_json=as_json)


def decided(
    source: "Source",
    okr: "Okr",
    run: "OkrRun",
    decision: Literal["approved", "denied"],
    reason: str,
    *,
    as_json: bool,
) -> int:
    """Store a decision on the draft as it is in `okr`, and tell of it; the exit code.

    Raises:
        OkrTransitionError: somebody decided before.
        OkrChangedError: the draft was changed meanwhile.
    """
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.bootstrap.known_secrets import unsaid, values_here
    from codetether_ray.bootstrap.truth.okrs import DECIDE
    from codetether_ray.cli.style import say
    from codetether_ray.core.okrs import ApprovalDecision
    from codetether_ray.core.spec import Correlation
    from codetether_ray.okr.stamps import fresh, moment
    from codetether_ray.ports.audit import Action

    known = asyncio.run(values_here(os.environ, source.paths.data))
    made = ApprovalDecision(
        id=fresh(""),
        run_id=run.id,
        decision=decision,
        reason=unsaid(known, say)(reason),
        approver=okr_options.principal(),
        decided_at=moment(time.time()),
    )
    action = Action(
        category="okr",
        action="okr.decide",
        resource=run.id,
        principal=made.approver or "",
        correlation=Correlation(
            run_id=run.relay_id or "",
            relay_id=run.relay_id or "",
            okr_id=okr.id,
            okr_run_id=run.id,
        ),
    )
    with acting(source.paths.data, action) as done:
        okr, run = source.ask(DECIDE, run.id, made, okr.version)
        done.outcome = "success" if decision == "approved" else "denied"
    return _told(okr, run, decision, as_json=as_json)


def _told(
    okr: "Okr", run: "OkrRun", decision: Literal["approved", "denied"], *, as_json: bool
) -> int:
    """Print what was decided and how to go on; the exit code."""
    from codetether_ray.cli.okr_words import go_on
    from codetether_ray.okr.json_form import okr_json, run_json

    code = exit_codes.SUCCESS if decision == "approved" else exit_codes.FAILED
    if as_json:
        out = {
            "outcome": decision,
            "exit_code": code,
            "okr": okr_json(okr),
            "run": run_json(run),
            "resume": go_on(run) or None,
        }
        click.echo(json.dumps(out, indent=2, ensure_ascii=False))
        return code
    click.echo(f"{decision}: {okr.title} (run {run.id})")
    if go_on(run):
        click.echo(f"start it: {go_on(run)}", err=True)
    return code
