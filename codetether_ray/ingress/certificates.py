"""The certificate that both transports show, read from the node's files."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codetether_ray.core.errors import ConfigError

if TYPE_CHECKING:
    from codetether_ray.ingress.options import IngressOptions


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, which no repr shows."""

    chain: bytes
    key: bytes = field(repr=False)
    chain_path: str
    key_path: str

    def for_http(self) -> ssl.SSLContext:
        """For uvicorn."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(self.chain_path, self.key_path)
        return made

    def for_grpc(self) -> Any:
        """For `add_secure_port`."""
        import grpc

        return grpc.ssl_server_credentials([(self.key, self.chain)])


def read_certificate(options: "IngressOptions") -> Certificate | None:
    """The certificate of an ingress; None where it has no TLS.

    Raises:
        ConfigError: only one of the two was given, or they cannot be read, or don't fit.
    """
    chain_path, key_path = options.tls_certificate, options.tls_key
    if not chain_path and not key_path:
        return None
    if not chain_path or not key_path:
        raise ConfigError("TLS needs both --tls-cert FILE and --tls-key FILE")
    try:
        found = Certificate(
            Path(chain_path).read_bytes(), Path(key_path).read_bytes(), chain_path, key_path
        )
        found.for_http()
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"TLS cannot be had of {chain_path} and {key_path}: {reason}; both are PEM files, "
            "the key without a password"
        ) from error
    return found
