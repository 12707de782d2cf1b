"""`codetether token`: the token that Ray's processes ask each other for, made, spread, changed."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from codetether_ray.bootstrap.auditing.opening import Done
    from codetether_ray.bootstrap.token.hosts import Host
    from codetether_ray.bootstrap.token.spread import Told
    from codetether_ray.core.codec import JsonValue

_RESTART = (
    "restart Ray on the head, then on every other host, since running ones keep the old token "
    "(`ray stop` and `ray start …` there, or `ray up` of the launcher's file); until then they "
    "work on, and this machine's next commands are not let in"
)


@click.group(
    "token",
    epilog=examples(
        "codetether token create",
        "codetether token spread node1 node2",
        "codetether token spread --cluster cluster-onprem.yaml",
        "codetether token show node1 node2   # which host lacks it, which has another",
        "codetether token rotate --cluster cluster-onprem.yaml",
    ),
)
def command() -> None:
    """Ray's token: make it, give it to the hosts of a cluster, compare it, change it.

    It is kept where Ray looks for it: RAY_AUTH_TOKEN_PATH, else ~/.ray/auth_token. Other hosts are
    reached by ssh, which must ask for nothing (keys, no passwords).
    """


def _ssh(function: "Callable[..., Any]") -> "Callable[..., Any]":
    for option in reversed(
        (
            click.argument("hosts", nargs=-1),
            click.option(
                "--cluster",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="A launcher's file that lists the hosts.",
            ),
            click.option("--identity", metavar="FILE", default="", help="Private key for ssh."),
            click.option("--port", type=click.IntRange(1, 65535), help="Port of ssh."),
            click.option("--remote-path", metavar="PATH", help="[default: .ray/auth_token]"),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        )
    ):
        function = option(function)
    return function


@command.command("create", epilog=examples("codetether token create"))
def create() -> int:
    """Make a token on this machine, in a file that only you can read."""
    from codetether_ray.bootstrap.token import place
    from codetether_ray.cli.output import say

    path = place.token_path(os.environ)
    with _audited("token.create", resource=str(path)) as done:
        made = place.create(path)
        done.detail["fingerprint"] = made.fingerprint
    say(f"made; its fingerprint is {made.fingerprint}")
    click.echo(made.source)
    return exit_codes.SUCCESS


@command.command(
    "show",
    epilog=examples(
        "codetether token show",
        "codetether token show node1 node2",
        "codetether token show --reveal | kubectl create secret generic ray-token "
        "--from-file=auth_token=/dev/stdin",
    ),
)
@click.option("--reveal", is_flag=True, help="Print the token itself, and nothing else.")
@_ssh
def show(reveal: bool, as_json: bool, **wanted: Any) -> int:
    """Show the token's place and fingerprint, here and on hosts; exit 1 where they differ."""
    from codetether_ray.bootstrap.token.spread import Told, compare

    token = _token()
    if reveal:
        click.echo(token.text)
        return exit_codes.SUCCESS
    hosts, remote = _hosts(wanted)
    found = [
        Told(host=t.host, is_well=False, detail=f"another: {t.detail}")
        if t.is_well and t.detail != token.fingerprint
        else t
        for t in compare(hosts, remote)
    ]
    return _tell(token.source, token.fingerprint, found, as_json, fix="codetether token spread")


@command.command(
    "spread",
    epilog=examples(
        "codetether token spread ray@10.0.0.5 ray@10.0.0.6",
        "codetether token spread --cluster cluster-onprem.yaml",
    ),
)
@_ssh
def spread(as_json: bool, **wanted: Any) -> int:
    """Give this machine's token to hosts, by ssh. One that fails keeps nobody from it."""
    from codetether_ray.bootstrap.token import spread as spreading

    token = _token()
    hosts, remote = _hosts(wanted, needed=True)
    names: list[JsonValue] = [host.name for host in hosts]
    with _audited("token.spread", resource=token.source, hosts=names) as done:
        found = spreading.spread(token, hosts, remote)
        done.detail["refused"] = [told.host for told in found if not told.is_well]
    return _tell(token.source, token.fingerprint, found, as_json, fix="codetether token spread")


@command.command(
    "rotate",
    epilog=examples(
        "codetether token rotate node1 node2",
        "codetether token rotate --cluster cluster-onprem.yaml",
    ),
)
@_ssh
def rotate(as_json: bool, **wanted: Any) -> int:
    """Make another token, here and on hosts: on all of them, or nothing is changed."""
    from codetether_ray.bootstrap.token import spread as spreading
    from codetether_ray.cli.output import say

    hosts, remote = _hosts(wanted)
    old = _token()
    names: list[JsonValue] = [host.name for host in hosts]
    with _audited("token.rotate", resource=old.source, hosts=names) as done:
        token, found = spreading.rotate(old, hosts, remote)
        done.detail["fingerprint"] = token.fingerprint
    code = _tell(token.source, token.fingerprint, found, as_json, fix="codetether token spread")
    say(_RESTART)
    return code


def _audited(
    action: str, *, resource: str, **detail: "JsonValue"
) -> "AbstractContextManager[Done]":
    """Such an act is in the audit log; the token itself never is."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    what = Action(category="auth", action=action, resource=resource, detail=dict(detail))
    return acting(data_dir(os.environ), what)


def _token() -> Any:
    from codetether_ray.bootstrap.token.place import find_token
    from codetether_ray.core.errors import UsageError

    token = find_token(os.environ)
    if not token.text:
        raise UsageError(f"there is no token at {token.source}; `codetether token create`")
    return token


def _hosts(wanted: dict[str, Any], *, needed: bool = False) -> "tuple[tuple[Host, ...], str]":
    """The hosts that are meant, and where the token is on them."""
    from codetether_ray.bootstrap.token.hosts import Host, hosts_of
    from codetether_ray.bootstrap.token.place import DEFAULT

    identity, port = wanted["identity"], wanted["port"]
    named = [Host(name=name, identity=identity, port=port) for name in wanted["hosts"]]
    listed = hosts_of(wanted["cluster"]) if wanted["cluster"] else ()
    named += [
        Host(name=host.name, identity=identity or host.identity, port=port) for host in listed
    ]
    wrong = [host.name for host in named if host.name.startswith("-")]
    if wrong:
        raise click.UsageError(f"{wrong[0]} is no host")
    if needed and not named:
        raise click.UsageError("name the hosts, or the launcher's file that does: --cluster FILE")
    return tuple(named), wanted["remote_path"] or DEFAULT


def _tell(
    source: str,
    fingerprint: str,
    found: "list[Told] | tuple[Told, ...]",
    as_json: bool,
    *,
    fix: str,
) -> int:
    from dataclasses import asdict

    is_well = all(told.is_well for told in found)
    if as_json:
        hosts = [asdict(told) for told in found]
        out = {"success": is_well, "source": source, "fingerprint": fingerprint, "hosts": hosts}
        click.echo(json.dumps(out, indent=2))
    else:
        click.echo(f"{'here':24}  {fingerprint}  {source}")
        for told in found:
            more = "" if told.is_well else f" — `{fix} {told.host}`"
            click.echo(f"{told.host:24}  {told.detail}{more}")
    return exit_codes.SUCCESS if is_well else exit_codes.FAILED
