"""Whose certificates are believed: this machine's authorities, or the one of CODETETHER_CA_FILE."""

import ssl
from collections.abc import Mapping

from codetether_ray.core.errors import ConfigError

CA_FILE = "CODETETHER_CA_FILE"


def trusted(env: Mapping[str, str]) -> ssl.SSLContext:
    """How a client of an ingress looks at its certificate.

    Raises:
        ConfigError: the file that is named cannot be read, or holds no certificate.
    """
    path = env.get(CA_FILE) or None
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # of ssl as well
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"{CA_FILE} names {path}: {why}") from None
