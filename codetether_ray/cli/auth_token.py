"""`codetether auth token`: who comes in to an ingress; a token is shown once, when it is made."""

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from codetether_ray.bootstrap.auditing.opening import Done
    from codetether_ray.bootstrap.truth.reading import Source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCOPE = re.compile(r"\*|[a-z][a-z_]{0,31}:(\*|[a-z][a-z_]{0,31})")


@click.group(
    "token",
    epilog=examples(
        "codetether auth token show-path",
        "codetether auth token create alice --role editor --expires 30d",
        "codetether auth token create ci --role operator --scope 'swarms:*' --scope runs:read",
        "codetether auth token list",
        "codetether auth token revoke alice",
    ),
)
def token() -> None:
    """Tokens for an ingress (`codetether serve`): its own, and others with roles and an expiry.

    Of a token that you create only a digest is kept: its value is printed once.
    """


@token.command(
    "create",
    epilog=examples(
        "codetether auth token create alice --role editor --expires 30d",
        "codetether auth token create gpu-1 --role worker > gpu-1.token",
        "codetether auth token create audit --role admin --scope audit:read --json",
    ),
)
@click.argument("name")
@click.option(
    "--role", "roles", multiple=True, required=True, metavar="ROLE", help="May be given again."
)
@click.option("--tenant", default="", metavar="TENANT", help="Whose tasks and sessions it shares.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="Of what the roles give only this: `tasks:read`, `tasks:*`. May be given again.",
)
@click.option("--expires", type=options.SPAN, metavar="TIME", help="Valid that long: 12h, 30d.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.address
def create(
    name: str,
    roles: tuple[str, ...],
    tenant: str,
    scopes: tuple[str, ...],
    expires: float | None,
    as_json: bool,
    address: str | None,
) -> int:
    """Make a token for NAME, and print it: it cannot be shown again."""
    from codetether_ray.bootstrap.tokens import ADD
    from codetether_ray.core.codec import encode
    from codetether_ray.ports.tokens import NamedToken
    from codetether_ray.stores.tokens import NAMED_PREFIX, digest_of, new_token

    _check(name, roles, tenant, scopes)
    value, now = new_token(NAMED_PREFIX), time.time()
    made = NamedToken(
        name=name,
        digest=digest_of(value),
        created_at=now,
        roles=tuple(dict.fromkeys(roles)),
        tenant_id=tenant,
        scopes=tuple(dict.fromkeys(scopes)),
        expires_at=None if expires is None else now + expires,
    )
    with _source(address) as source, _noted("auth.token.create", name):
        source.ask(ADD, encode(made))
    if as_json:
        shown = {"name": name, "token": value, "roles": made.roles, "expires_at": made.expires_at}
        click.echo(json.dumps(shown))
        return exit_codes.SUCCESS
    click.echo(value)
    until = "until it is revoked" if expires is None else f"until {_moment(made.expires_at)}"
    click.echo(f"the token of {name}, valid {until}; it is not shown again", err=True)
    return exit_codes.SUCCESS


@token.command(
    "list", epilog=examples("codetether auth token list", "codetether auth token list --json")
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@options.address
def list_tokens(as_json: bool, address: str | None) -> int:
    """List the tokens that were made, those included that are no longer valid."""
    from codetether_ray.bootstrap.tokens import LISTED

    with _source(address) as source:
        rows: list[dict[str, Any]] = source.ask(LISTED)
    now = time.time()
    for row in rows:
        row["state"] = _state(row, now)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return exit_codes.SUCCESS
    for row in rows:
        click.echo(_line(row))
    if not rows:
        click.echo("no tokens; `codetether auth token create NAME --role …` makes one", err=True)
    return exit_codes.SUCCESS


@token.command("revoke", epilog=examples("codetether auth token revoke alice"))
@click.argument("name")
@options.address
def revoke(name: str, address: str | None) -> int:
    """End the token of NAME: five seconds later it opens nothing. Streams that are open go on."""
    from codetether_ray.bootstrap.tokens import REVOKE

    with _source(address) as source, _noted("auth.token.revoke", name) as done:
        is_revoked = bool(source.ask(REVOKE, name, time.time()))
        done.detail["found"] = is_revoked
    if is_revoked:
        click.echo(f"the token of {name} is revoked", err=True)
        return exit_codes.SUCCESS
    click.echo(f"there is no valid token of {name}; `codetether auth token list` has all", err=True)
    return exit_codes.FAILED


@token.command(
    "show-path",
    epilog=examples(
        "codetether auth token show-path",
        'curl -H "Authorization: Bearer $(cat "$(codetether auth token show-path)")" …',
    ),
)
@options.address
def show_path(address: str | None) -> int:
    """Print the file with the server's own token, which is made if need be. It is an admin's.

    Where the server was started with CODETETHER_AUTH_TOKEN, that one counts instead.
    """
    from codetether_ray.bootstrap.tokens import OWN_FILE, SERVER_FILE

    with _source(address) as source:
        click.echo(source.ask(SERVER_FILE))
        if not source.is_here:
            click.echo(f"on {source.label}", err=True)
        if not source.ask(OWN_FILE):
            said = "the server was started with CODETETHER_AUTH_TOKEN: that counts, not this file"
            click.echo(said, err=True)
    return exit_codes.SUCCESS


command = token


def _check(name: str, roles: tuple[str, ...], tenant: str, scopes: tuple[str, ...]) -> None:
    from codetether_ray.bootstrap.tokens import SERVER_USER
    from codetether_ray.policy.roles import own_roles

    if not _NAME.fullmatch(name) or name == SERVER_USER:
        raise click.UsageError(
            "NAME is up to 64 letters, digits, dots, dashes and underscores, "
            f"and not {SERVER_USER!r}, the server's own"
        )
    if tenant and not _NAME.fullmatch(tenant):
        raise click.UsageError("--tenant is up to 64 letters, digits, dots, dashes, underscores")
    known = own_roles()
    for role in roles:
        if role not in known:
            raise click.UsageError(f"--role {role!r}: there is none; there are {', '.join(known)}")
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise click.UsageError(f"--scope {scope!r}: write `tasks:read`, `tasks:*` or `*`")


def _source(address: str | None) -> "AbstractContextManager[Source]":
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.cli.style import say

    return reading(address, say)


def _noted(action: str, name: str) -> "AbstractContextManager[Done]":
    """The audit log's note of a change, in this user's own log."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    return acting(data_dir(os.environ), Action(category="auth", action=action, resource=name))


def _state(row: dict[str, Any], now: float) -> str:
    if row.get("revoked_at") is not None:
        return "revoked"
    expires = row.get("expires_at")
    return "expired" if expires is not None and expires <= now else "valid"


def _line(row: dict[str, Any]) -> str:
    return "  ".join(_words(row))


def _words(row: dict[str, Any]) -> "Iterator[str]":
    yield f"{row['name']:<20}"
    yield f"{row['state']:<8}"
    yield ",".join(row.get("roles", ()))
    if row.get("tenant_id"):
        yield f"tenant {row['tenant_id']}"
    if row.get("scopes"):
        yield f"only {','.join(row['scopes'])}"
    if row.get("expires_at") is not None and row["state"] == "valid":
        yield f"until {_moment(row['expires_at'])}"


def _moment(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
