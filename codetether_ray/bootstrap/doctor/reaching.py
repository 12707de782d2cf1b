"""Whether something listens at an address, within seconds."""

import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

PATIENCE_S = 3.0
_MOST_AT_ONCE = 32


def trouble(address: str, patience_s: float = PATIENCE_S) -> str:
    """Why nobody answers at `HOST:PORT`; empty where a connection was made."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), patience_s):
            return ""
    except (OSError, ValueError, OverflowError) as error:
        return _why(error)


def trouble_of_url(url: str, patience_s: float = PATIENCE_S) -> str:
    """Why a server cannot be reached; empty where it can, over TLS where the URL says so."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    try:
        port = parts.port or (443 if is_tls else 80)
        with socket.create_connection((parts.hostname or "", port), patience_s) as there:
            if is_tls:
                with ssl.create_default_context().wrap_socket(
                    there, server_hostname=parts.hostname
                ):
                    pass
            return ""
    except (OSError, ValueError) as error:
        return _why(error)


def troubles(urls: Iterable[str]) -> dict[str, str]:
    """`trouble_of_url` of each, all at once."""
    wanted = list(dict.fromkeys(urls))
    if not wanted:
        return {}
    with ThreadPoolExecutor(min(len(wanted), _MOST_AT_ONCE)) as pool:
        return dict(zip(wanted, pool.map(trouble_of_url, wanted), strict=True))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
