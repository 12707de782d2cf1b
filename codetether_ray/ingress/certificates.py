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
        made.load_cert_chain(self.chain_path, self.key_path, password=b"")  # nobody is asked
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
    except OSError as error:
        raise ConfigError(f"TLS: {error.filename} cannot be read: {error.strerror}") from error
    try:
        found.for_http()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TLS: {_fault(found, error)}") from error
    return found


def _fault(found: Certificate, error: Exception) -> str:
    """What is wrong with files that OpenSSL does not take; it does not say which one it means."""
    if b"-BEGIN CERTIFICATE-" not in found.chain:
        return f"{found.chain_path} holds no certificate in PEM form"
    if b"PRIVATE KEY-" not in found.key:
        return f"{found.key_path} holds no private key in PEM form"
    if b"ENCRYPTED" in found.key:
        return f"{found.key_path} has a password; give a key without one"
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return f"{found.key_path} is not the key of the certificate in {found.chain_path}"
    return f"{found.chain_path} and {found.key_path} cannot be used: {error}"
