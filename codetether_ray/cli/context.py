"""`codetether context`: which cluster commands use where none is named, and its ingress' token."""

import json
import os
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples


@click.group(
    "context",
    epilog=examples(
        "codetether context show",
        "codetether context use 10.0.0.5:6379",
        "codetether context use https://agents.example.com:4096",
        "codetether context clear",
    ),
)
def context() -> None:
    """Which Ray cluster commands use where none is named.

    First counts --address, then RAY_ADDRESS, then what is saved here, then a head of your own
    (`codetether up`); else commands use this machine alone. The address of an ingress
    (`codetether serve`) will do for all that looks at runs, decides on OKRs or ends a run.
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


@context.command(
    "use",
    epilog=examples(
        "codetether context use 10.0.0.5:6379",
        "codetether context use http://10.0.0.5:4096",
        "codetether context use https://agents.example.com --token-stdin < token.txt",
    ),
)
@click.argument("address")
@click.option("--token-stdin", is_flag=True, help="Read the ingress' token from stdin.")
def use(address: str, token_stdin: bool) -> int:
    """Save ADDRESS for all your commands, in your config.toml.

    Of an ingress you are asked for the token, which is tried, and kept in credentials.json beside
    it, readable for you alone. It is not asked for where CODETETHER_TOKEN is set.
    """
    from codetether_ray.bootstrap.truth.address import Address, checked

    found = Address(value=checked(address, "context use"))
    if found.is_http and _take_token(found.value, is_piped=token_stdin):
        what = "the ingress"
    elif token_stdin:
        raise click.UsageError(f"{address} is no ingress, and takes no token")
    else:
        what = "the cluster"
    _save(found.value)
    click.echo(f"your commands use {what} at {address}; `codetether context clear` ends that")
    return exit_codes.SUCCESS


@context.command("clear", epilog=examples("codetether context clear"))
def clear() -> int:
    """Forget the saved address, and the token of its ingress."""
    from codetether_ray.bootstrap.truth.address import saved_address

    saved = saved_address(os.environ)
    if saved:
        _save("")
    if saved.startswith("http"):
        from codetether_ray.bootstrap.truth.credentials import store_token

        store_token(saved, "", os.environ)
    click.echo("no cluster is saved")
    return exit_codes.SUCCESS


def _take_token(url: str, *, is_piped: bool) -> bool:
    """Have a token for an ingress that it takes; False where the URL is no ingress.

    Raises:
        ClusterError: nothing answers there.
        UnauthenticatedError: it does not take the token.
    """
    from codetether_ray.bootstrap.truth.credentials import VARIABLES, store_token
    from codetether_ray.bootstrap.truth.http import is_ingress

    if not is_ingress(url):
        return False
    if any(os.environ.get(name) for name in VARIABLES) and not is_piped:
        _try(url, os.environ)
        return True
    token = _token(url, is_piped=is_piped)
    _try(url, {**os.environ, VARIABLES[0]: token})
    path = store_token(url, token, os.environ)
    click.echo(f"the token is kept in {path}", err=True)
    return True


def _try(url: str, env: Mapping[str, str]) -> None:
    """See whether an ingress takes a token.

    Raises:
        UnauthenticatedError: it does not.
    """
    from codetether_ray.bootstrap.truth.http import truth_at

    truth = truth_at(url, env)
    if truth.http is not None:
        truth.http.close()


def _token(url: str, *, is_piped: bool) -> str:
    if not is_piped and not sys.stdin.isatty():
        raise click.UsageError(
            "nobody can be asked for the token here: pipe it with --token-stdin, or set "
            "CODETETHER_TOKEN"
        )
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        click.echo(f"{url} is not encrypted: whoever sees the traffic sees the token", err=True)
    given = sys.stdin.read() if is_piped else click.prompt("Token", hide_input=True, err=True)
    token = str(given).strip()
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise click.UsageError("that is no token: it is one word of plain characters")
    return token


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
