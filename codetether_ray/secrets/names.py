"""Which names a provider may have in a secret store: no path can hide in one."""

import re

from codetether_ray.core.errors import SecretStoreError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_name(provider: str) -> str:
    """Return `provider`.

    Raises:
        SecretStoreError: it is no name.
    """
    if not _NAME.fullmatch(provider):
        words = f"{provider!r} is no provider's name: use letters, digits, `-` and `_`"
        raise SecretStoreError(words)
    return provider
