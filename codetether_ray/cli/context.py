"""`codetether context`: which cluster commands use where none is named."""

import json
import os

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples


@click.group(
    "context",
    epilog=examples(
        "codetether context show",
        "codetether context use 10.0.0.5:6379",
        "codetether context clear",
    ),
)
def context() -> None:
    """Which Ray cluster commands use where none is named.

    First counts --address, then RAY_ADDRESS, then what is saved here, then a head of your own
    (`codetether up`); else commands use this machine alone.
    """


@context.command("show", epilog=examples("codetether context show --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> int:
    """Print which cluster is used here, and what says so."""
    from codetether_ray.bootstrap.truth.address import choose_address

    found = choose_address(None, os.environ)
    value, origin = found.value or None, found.origin or None
    if value is None:
        value, origin = _own_head()
    if as_json:
        click.echo(json.dumps({"address": value, "origin": origin}))
    elif value is None:
        click.echo("no cluster: commands use this machine alone")
    else:
        click.echo(f"{value}  ({origin})")
    return exit_codes.SUCCESS


@context.command("use", epilog=examples("codetether context use 10.0.0.5:6379"))
@click.argument("address")
def use(address: str) -> int:
    """Save ADDRESS for all your commands, in your config.toml."""
    from codetether_ray.bootstrap.truth.address import checked

    _save(checked(address, "context use"))
    click.echo(f"your commands use the cluster at {address}; `codetether context clear` ends that")
    return exit_codes.SUCCESS


@context.command("clear", epilog=examples("codetether context clear"))
def clear() -> int:
    """Forget the saved address."""
    from codetether_ray.bootstrap.truth.address import saved_address

    if saved_address(os.environ):
        _save("")
    click.echo("no cluster is saved")
    return exit_codes.SUCCESS


def _own_head() -> tuple[str | None, str | None]:
    from codetether_ray.actors.head import find_head
    from codetether_ray.config.paths import data_dir

    head = find_head(data_dir(os.environ))
    return (None, None) if head is None else (head.address, "your own head, `codetether up`")


def _save(address: str) -> None:
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.bootstrap.truth.address import SETTING
    from codetether_ray.config.edit import set_in_file
    from codetether_ray.config.paths import find_paths
    from codetether_ray.ports.audit import Action

    paths = find_paths(os.environ)
    action = Action(
        category="config", action="config.set", resource=SETTING, detail={"file": str(paths.config)}
    )
    with acting(paths.data, action):
        set_in_file(paths.config, SETTING, address)


command = context
