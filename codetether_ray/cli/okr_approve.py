"""`codetether okr approve`: somebody looks at a draft and approves, denies or edits it."""

import time
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import okr_options, options
from codetether_ray.cli.examples import examples
from codetether_ray.cli.okr_deny import decided

if TYPE_CHECKING:
    from codetether_ray.bootstrap.truth.reading import Source
    from codetether_ray.core.okrs import Okr, OkrRun


@click.command(
    "approve",
    epilog=examples(
        "codetether okr runs --status pending_approval",
        "codetether okr approve --id 3f2a",
        "codetether okr approve --id 3f2a --yes --reason 'agreed in review' --json",
    ),
)
@okr_options.id_option(is_required=True)
@click.option("--reason", default="", help="Why; kept with the decision.")
@click.option("-y", "--yes", is_flag=True, help="Approve it as it is, without being asked.")
@okr_options.as_json
@options.address
def command(id: str, reason: str, yes: bool, as_json: bool, address: str | None) -> int:
    """Approve a draft: it is shown, and you approve, deny or edit it.

    Of several people who decide at once one wins; the others are told who. A denial ends with 1,
    and where nobody can be asked, with 3: nothing is decided then.
    """
    with okr_options.opened(address) as source:
        okr, run = okr_options.waiting(source, id)
        if yes:
            return _approve(source, okr, run, reason, as_json=as_json)
        return _asked(source, okr, run, reason, as_json=as_json)


def _asked(source: "Source", okr: "Okr", run: "OkrRun", reason: str, *, as_json: bool) -> int:
    from codetether_ray.bootstrap.truth.okrs import EDIT
    from codetether_ray.cli import okr_gate
    from codetether_ray.core.errors import DecisionNeededError, OkrTransitionError
    from codetether_ray.okr.stamps import moment

    if run.status != "pending_approval":
        raise OkrTransitionError(run.id, run.status, "approved")
    try:
        answer = okr_gate.ask(okr)
    except DecisionNeededError as error:
        how = f"codetether okr approve --id {run.id} --yes"
        raise DecisionNeededError(f"{error}; `{how}` approves it as it is") from None
    if answer.is_edited:
        okr_options.refuse_keys(source, answer.okr)
        now = moment(time.time())
        okr, run = source.ask(EDIT, run.id, answer.okr, okr.version, now)
    if answer.kind == "deny":
        return decided(source, okr, run, "denied", answer.reason or reason, as_json=as_json)
    return _approve(source, okr, run, reason, as_json=as_json)


def _approve(source: "Source", okr: "Okr", run: "OkrRun", reason: str, *, as_json: bool) -> int:
    return decided(source, okr, run, "approved", reason, as_json=as_json)
