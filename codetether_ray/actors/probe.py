"""Whether something at an address could be a Ray head, before Ray tries for minutes."""

import socket

from codetether_ray.core.errors import ClusterError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How an HTTP/2 client begins (RFC 9113, 3.4): the preface and an empty SETTINGS frame."""
_FRAME_HEADER = 9
_SETTINGS = 4


def probe(address: str, *, timeout_s: float = 5.0) -> None:
    """Return if a gRPC server answers at `HOST:PORT`; other forms of address are let pass.

    Raises:
        ClusterError: nothing answers there, or something that is no Ray head.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s) as there:
            there.sendall(_PREFACE)
            header = there.recv(_FRAME_HEADER, socket.MSG_WAITALL)
    except OSError as error:
        raise ClusterError(_nobody(address, error.strerror or str(error))) from error
    if len(header) < _FRAME_HEADER or header[3] != _SETTINGS:
        raise ClusterError(_nobody(address, "what answers there is no Ray head"))


def answers(address: str) -> bool:
    """Whether a gRPC server answers at `HOST:PORT`."""
    try:
        probe(address)
    except ClusterError:
        return False
    return True


def _nobody(address: str, why: str) -> str:
    return (
        f"no Ray cluster answers at {address} ({why}); without RAY_ADDRESS a private one is started"
    )
