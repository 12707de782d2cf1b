"""A truth that is asked by HTTP: the ingress of a cluster, from any machine, without Ray.

The token is read where it is used: CODETETHER_TOKEN, CODETETHER_AUTH_TOKEN, else what
`codetether context use URL` has stored. It goes to an ingress alone, in a header.
"""

import asyncio
import http.client
import json
import os
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from codetether_ray.bootstrap.truth.credentials import token_for
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.questions import NAMES, QUESTIONS, sent
from codetether_ray.bootstrap.truth.trusted import CA_FILE, trusted
from codetether_ray.core import access_errors, errors
from codetether_ray.core.errors import ClusterError, CodetetherError, UsageError

_PATIENCE_S = 600.0
"""For one answer: the head may have to read through many runs."""
_PROBE_S = 10.0
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


def is_ingress(url: str) -> bool:
    """Whether an ingress answers at a URL: a dashboard of Ray has no `/health` like it.

    Raises:
        ClusterError: nothing answers.
    """
    connection = _connection(url, _PROBE_S)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == 200 and answer.read(64).strip() == b"ok"
    except (OSError, http.client.HTTPException) as error:
        raise ClusterError(f"nothing answers at {url}: {_reason(error)}") from None
    finally:
        connection.close()


def leads_to_ingress(url: str, data_dir: Path) -> bool:
    """`is_ingress`; where nothing answers it may still stand for a cluster of this machine's.

    Raises:
        ClusterError: nothing answers, and this machine is no node of what would be there.
    """
    try:
        return is_ingress(url)
    except ClusterError as error:
        try:
            from codetether_ray.actors.gateways import cluster_behind

            cluster_behind(url, data_dir)
        except (ClusterError, ImportError):
            raise error from None
        return False


def truth_at(url: str, env: Mapping[str, str]) -> Truth:
    """The truth behind an ingress; whoever asks for it closes its `http`.

    Raises:
        UnauthenticatedError: it wants a token, and there is none, or another one.
        ClusterError: it does not answer.
    """
    head = HttpHead(url, token_for(url, env))
    try:
        found = head.ask("codetether_ray.bootstrap.truth.identity:identity")
    except BaseException:
        head.close()
        raise
    return Truth(data_dir=Path(found["data_dir"]), id=found["id"], http=head, address=url)


class HttpHead:
    """An ingress that answers for the head. One request at a time, by any thread."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._turn = threading.Lock()
        self._open: http.client.HTTPConnection | None = None

    def ask(self, function: str, *arguments: Any) -> Any:
        """What the question that `function` is gives there; it blocks.

        Raises:
            UsageError: it is none that may be asked by HTTP.
            ClusterError: the ingress does not answer.
            CodetetherError: what was raised there.
        """
        name = NAMES.get(function)
        if name is None:
            raise UsageError(
                f"{self.url} is an ingress, and this cannot be asked through one; run the command "
                "on a node of the cluster, with its address HOST:6379"
            )
        body = json.dumps({"arguments": sent(arguments)})
        status, data = self._sent(f"/v1/truth/{name}", body)
        if status != 200:
            raise told_error(self.url, status, data)
        return QUESTIONS[name].answer(data["answer"])

    async def ask_async(self, function: str, *arguments: Any) -> Any:
        """`ask`, in a thread."""
        return await asyncio.to_thread(self.ask, function, *arguments)

    def close(self) -> None:
        """Let go of the connection; it is opened again if something is asked."""
        with self._turn:
            self._drop()

    def _sent(self, path: str, body: str) -> tuple[int, dict[str, Any]]:
        with self._turn:
            is_fresh = self._open is None
            try:
                return self._exchange(path, body)
            except _GONE as error:
                self._drop()
                if is_fresh:  # it was not an idle connection that the other end had closed
                    raise self._silent(error) from None
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                raise self._silent(error) from None
            try:
                return self._exchange(path, body)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                raise self._silent(error) from None

    def _exchange(self, path: str, body: str) -> tuple[int, dict[str, Any]]:
        if self._open is None:
            self._open = _connection(self.url, _PATIENCE_S)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._open.request("POST", path, body.encode(), headers)
        answer = self._open.getresponse()
        raw = answer.read()
        try:
            data = json.loads(raw)
        except ValueError:
            data = {}
        return answer.status, data if isinstance(data, dict) else {}

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _silent(self, error: BaseException) -> ClusterError:
        return ClusterError(f"the ingress at {self.url} does not answer: {_reason(error)}")


def told_error(url: str, status: int, data: Mapping[str, Any]) -> CodetetherError:
    """The error that an ingress told of, of the class that it has there."""
    detail = str(data.get("detail") or f"HTTP {status}")
    if status == 401:
        detail = (
            f"{url} wants a token ({detail}); `codetether context use {url}` stores one, or set "
            "CODETETHER_TOKEN"
        )
        return _made(access_errors.UnauthenticatedError, detail)
    name = f"{data.get('kind', '')}Error"
    found = getattr(errors, name, None) or getattr(access_errors, name, None)
    if isinstance(found, type) and issubclass(found, CodetetherError):
        return _made(found, detail)
    if status == 404:
        return ClusterError(f"the ingress at {url} is of a version that cannot be asked this")
    return ClusterError(f"the ingress at {url} could not answer: {detail}")


def _made(cls: type[CodetetherError], sentence: str) -> CodetetherError:
    """An error of a class that says a sentence; its own arguments did not travel."""

    def begin(self: Exception) -> None:
        Exception.__init__(self, sentence)

    told = type(cls.__name__, (cls,), {"__init__": begin, "__str__": lambda _: sentence})
    made: CodetetherError = told()
    return made


def _connection(url: str, patience_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = trusted(os.environ)
        return http.client.HTTPSConnection(host, port, timeout=patience_s, context=context)
    return http.client.HTTPConnection(host, port, timeout=patience_s)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}; {CA_FILE} names the authority to trust"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as this machine does ({error.reason}); is it http://?"
    return str(error) or type(error).__name__
