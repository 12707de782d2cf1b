"""`codetether auth`: providers' keys, which never come out on a screen; tokens of an ingress."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.auth_token import token
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from codetether_ray.bootstrap.auditing.opening import Done
    from codetether_ray.ports.secrets import SecretStore


@click.group(
    "auth",
    epilog=examples(
        "codetether auth set anthropic",
        "codetether auth set openrouter < key.txt",
        "codetether auth list",
        "codetether auth remove openai",
        "codetether auth token create alice --role editor --expires 30d",
    ),
)
def auth() -> None:
    """Keep providers' keys, in Vault or, where no VAULT_ADDR is set, in an encrypted file.

    A key is read from a hidden prompt or from stdin, never from an argument.
    `codetether auth token` has the tokens of an ingress.
    """


@auth.command(
    "set",
    epilog=examples(
        "codetether auth set anthropic",
        "pass show openai | codetether auth set openai",
        "codetether auth set local --base-url http://gpu:8000/v1",
        "codetether auth set s3 --access-key AKIA… < secret.txt   # of the archive",
    ),
    context_settings={"allow_extra_args": True},
)
@click.argument("provider")
@click.option("--base-url", metavar="URL", help="Address to use instead of the provider's own.")
@click.option("--access-key", metavar="ID", help="For s3: the id of the secret key.")
@click.pass_context
def set_key(ctx: click.Context, provider: str, base_url: str | None, access_key: str | None) -> int:
    """Store the key of PROVIDER, from stdin or a hidden prompt.

    `s3` is the archive's, `postgres` the password of the database of A2A tasks.
    """
    if ctx.args:  # not repeated: it may well be the key
        raise click.UsageError(
            "a key is read from stdin or a hidden prompt, never from an argument; nothing was "
            "stored. If that was a key, your shell's history has it now: replace it"
        )
    _check_access_key(provider, access_key)
    if base_url is not None:
        _check_address(base_url)
    key = _read_key(provider)
    store = _open_store()
    with _noted("auth.set", provider):
        asyncio.run(_put(store, provider, key, base_url, access_key))
    click.echo(f"the key of {provider} is in the {store.description}")
    return exit_codes.SUCCESS


@auth.command("list", epilog=examples("codetether auth list", "codetether auth list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_keys(as_json: bool) -> int:
    """List the providers that have a key, and where keys are kept. Values are not shown."""
    store = _open_store()
    names = asyncio.run(store.providers())
    if as_json:
        click.echo(json.dumps({"store": store.description, "providers": names}))
        return exit_codes.SUCCESS
    for name in names:
        click.echo(name)
    hint = "" if names else "; `codetether auth set PROVIDER` adds a key"
    click.echo(f"{len(names) or 'no'} key(s) in the {store.description}{hint}", err=True)
    return exit_codes.SUCCESS


@auth.command("remove", epilog=examples("codetether auth remove openai"))
@click.argument("provider")
def remove_key(provider: str) -> int:
    """Remove what is stored of PROVIDER, all versions of it."""
    store = _open_store()
    with _noted("auth.remove", provider) as done:
        is_removed = asyncio.run(store.remove(provider))
        done.detail["found"] = is_removed
    if is_removed:
        click.echo(f"the key of {provider} was removed from the {store.description}")
        return exit_codes.SUCCESS
    click.echo(f"there is no key of {provider} in the {store.description}", err=True)
    return exit_codes.FAILED


auth.add_command(token)

command = auth


async def _put(
    store: "SecretStore", provider: str, key: str, base_url: str | None, access_key: str | None
) -> None:
    """Replace the key and keep whatever else the record holds."""
    from codetether_ray.ports.secrets import ProviderSecret

    old = await store.get(provider) or ProviderSecret()
    extra = {**old.extra, "access_key": access_key} if access_key else old.extra
    new = replace(old, api_key=key, base_url=base_url or old.base_url, extra=extra)
    await store.put(provider, new)


def _noted(action: str, provider: str) -> "AbstractContextManager[Done]":
    """The audit log's note of a change to a provider's key."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    return acting(data_dir(os.environ), Action(category="auth", action=action, resource=provider))


def _open_store() -> "SecretStore":
    from codetether_ray.config.paths import data_dir
    from codetether_ray.config.stores import open_secret_store

    return open_secret_store(os.environ, data_dir(os.environ))


def _check_access_key(provider: str, access_key: str | None) -> None:
    if provider == "s3" and not access_key:
        raise click.UsageError("s3 has two keys: `codetether auth set s3 --access-key ID`")
    if provider != "s3":
        if provider != "postgres":
            _check_provider(provider)
        if access_key is not None:
            raise click.UsageError("--access-key is for s3 alone")


def _check_provider(provider: str) -> None:
    from codetether_ray.core.errors import UnknownProviderError
    from codetether_ray.providers.profiles import PROFILES

    if provider not in PROFILES:
        raise UnknownProviderError(provider, tuple(sorted(PROFILES)))


def _check_address(base_url: str) -> None:
    from codetether_ray.config.kinds import URL

    try:
        URL.parse(base_url)
    except ValueError as error:
        raise click.UsageError(f"--base-url {error}") from None


def _read_key(provider: str) -> str:
    if sys.stdin.isatty():
        key = click.prompt(f"key of {provider} (hidden)", hide_input=True, err=True)
    else:
        key = sys.stdin.read()
    key = str(key).strip()
    if not key or any(letter.isspace() or not letter.isprintable() for letter in key):
        raise click.UsageError("stdin must hold one key and nothing else; nothing was stored")
    return key
