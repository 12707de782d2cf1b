"""Whether a Ray head lets this program in: one call of it, before Ray tries for half a minute.

Ray repeats a refused call for 20 s, with a line on stderr each second. So the call is made here,
by hand: a cluster that wants another token answers it with a status alone, any other with data.
"""

import socket
from collections.abc import Mapping

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_EMPTY_MESSAGE = bytes(5)
_PATH = "/ray.rpc.NodeInfoGcsService/GetClusterId"
_PATIENCE_S = 5.0


def lets_in(address: str, headers: Mapping[str, str]) -> bool:
    """Whether the head at `HOST:PORT` answers a call with these headers (RFC 9113, gRPC).

    True as well where that cannot be told; Ray then says more.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S) as there:
            there.sendall(_call(address, headers))
            return _is_answered(there)
    except (OSError, ValueError):
        return True


def _call(address: str, headers: Mapping[str, str]) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": _PATH,
        ":authority": address,
        "te": "trailers",
        "content-type": "application/grpc",
        **{name.lower(): value for name, value in headers.items()},
    }
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, block)
        + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _text(text: str) -> bytes:
    """A string literal of HPACK (RFC 7541, 5.2), its length in 7 bits and as many as it needs."""
    data = text.encode()
    most = 127
    if len(data) < most:
        return bytes([len(data)]) + data
    out, left = [most], len(data) - most
    while left > most:
        out.append(left % 128 + 128)
        left //= 128
    return bytes([*out, left]) + data


def _is_answered(there: socket.socket) -> bool:
    while True:
        head = there.recv(9, socket.MSG_WAITALL)
        if len(head) < 9:
            return True
        size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        if size:
            there.recv(size, socket.MSG_WAITALL)
        if kind == _DATA:
            return True
        if kind == _HEADERS and flags & _END_STREAM:
            return False
