"""A pytest plugin: requests of the A2A compatibility kits get the token in KIT_TOKEN."""

import collections
import os

import grpc
import httpx

BEARER = "Bearer " + os.environ["KIT_TOKEN"]
is_known = True  # whether requests get the token


def pytest_runtest_setup(item):
    """The kit's tests of requests without a token get none."""
    global is_known
    is_known = "without_auth" not in item.name


def _http(kind):
    sent = kind.send

    def send(self, request, **kwargs):
        if is_known:
            request.headers.setdefault("Authorization", BEARER)
        return sent(self, request, **kwargs)

    kind.send = send


_http(httpx.Client)
_http(httpx.AsyncClient)
try:
    import requests
except ImportError:
    pass
else:
    _request = requests.Session.request

    def _with_token(self, method, url, **kwargs):
        headers = dict(kwargs.pop("headers", None) or {})
        if is_known and "authorization" not in {name.lower() for name in headers}:
            headers["Authorization"] = BEARER
        return _request(self, method, url, headers=headers, **kwargs)

    requests.Session.request = _with_token


class _Details(
    collections.namedtuple(
        "_Details", "method timeout metadata credentials wait_for_ready compression"
    ),
    grpc.ClientCallDetails,
):
    pass


def _details(given):
    metadata = [*(given.metadata or ())]
    if is_known:
        metadata.append(("authorization", BEARER))
    return _Details(
        given.method,
        given.timeout,
        metadata,
        given.credentials,
        getattr(given, "wait_for_ready", None),
        getattr(given, "compression", None),
    )


class _Token(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def intercept_unary_unary(self, onward, details, request):
        return onward(_details(details), request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


def _aio(details):
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    if is_known:
        metadata.add("authorization", BEARER)
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


class _TokenAio(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, onward, details, request):
        return await onward(_aio(details), request)


class _TokenAioStreams(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, onward, details, request):
        return await onward(_aio(details), request)


_channel, _aio_channel = grpc.insecure_channel, grpc.aio.insecure_channel


def _insecure(*args, **kwargs):
    return grpc.intercept_channel(_channel(*args, **kwargs), _Token())


def _aio_insecure(*args, **kwargs):
    mine = [_TokenAio(), _TokenAioStreams()]
    kwargs["interceptors"] = [*(kwargs.get("interceptors") or []), *mine]
    return _aio_channel(*args, **kwargs)


grpc.insecure_channel, grpc.aio.insecure_channel = _insecure, _aio_insecure
