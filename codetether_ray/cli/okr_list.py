"""`codetether okr list`: OKRs, by status or owner."""

import json

import click

from codetether_ray.cli import exit_codes, okr_options, options
from codetether_ray.cli.examples import examples

_STATUSES = ("draft", "active", "completed", "cancelled", "on_hold")


@click.command(
    "list",
    epilog=examples(
        "codetether okr list",
        "codetether okr list --status active",
        "codetether okr list --json | jq -r '.[] | select(.progress < 1) | .title'",
    ),
)
@okr_options.id_option()
@click.option("--status", type=click.Choice(_STATUSES), default=None, help="Only these.")
@click.option("--owner", default=None, help="Only this owner's.")
@okr_options.as_json
@options.address
def command(
    id: str, status: str | None, owner: str | None, as_json: bool, address: str | None
) -> int:
    """List OKRs: how far they are by what was measured, and each key result."""
    from codetether_ray.cli.okr_words import print_okr
    from codetether_ray.okr.json_form import okr_json

    with okr_options.opened(address) as source:
        okrs, _ = okr_options.everything(source, id)
    okrs = [o for o in okrs if status in (None, o.status) and owner in (None, o.owner)]
    if as_json:
        click.echo(json.dumps([okr_json(okr) for okr in okrs], indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    for okr in okrs:
        print_okr(okr)
    if not okrs:
        click.echo(
            'no OKRs; `codetether run "/go …"` and `codetether okr create` make them', err=True
        )
    return exit_codes.SUCCESS
