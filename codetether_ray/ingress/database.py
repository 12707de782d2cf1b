"""The address of a PostgreSQL database and, apart from it, its password."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ConfigError

SECRET = "postgres"
"""Under which the secret store has the password."""
IN_MEMORY = "memory"
"""Instead of an address: tasks are in the memory of one process, to measure what a store costs."""
_SCHEMES = ("postgresql", "postgres")


def check_url(url: str, *, replicas: int = 1) -> str:
    """The address, if it is one, and holds no password.

    Raises:
        ConfigError: it does; the sentence does not repeat it.
    """
    if url == IN_MEMORY:
        if replicas > 1:
            raise ConfigError(
                "tasks in memory are for one replica; several would have each its own"
            )
        return url
    try:
        parts = urlsplit(url)
        has_password = parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError as error:
        raise ConfigError("the tasks' database has no address that can be read") from error
    if parts.scheme not in _SCHEMES:
        raise ConfigError(
            "the tasks' database must be given as postgresql://user@host:5432/database"
        )
    if has_password:
        raise ConfigError(
            "the address of the tasks' database holds a password; leave it out, and set PGPASSWORD "
            "or PGPASSFILE, or keep it in the secret store as the key of `postgres`"
        )
    return url


async def stored_password(env: Mapping[str, str], data_dir: Path) -> str:
    """The password that the secret store has; empty where the environment says one, or none is.

    Raises:
        SecretStoreError: the store cannot be read.
    """
    if env.get("PGPASSWORD") or env.get("PGPASSFILE"):
        return ""
    found = await open_secret_store(env, data_dir).get(SECRET)
    return "" if found is None else found.api_key


async def password_here() -> str:
    """`stored_password` of this process's user."""
    from codetether_ray.config.paths import data_dir

    return await stored_password(os.environ, data_dir(os.environ))
