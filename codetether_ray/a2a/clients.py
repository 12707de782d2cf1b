"""A client of another agent: the SDK's, by the interface that was chosen, with a token or none."""

import copy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import parse_agent_card
from a2a.client.client import Client
from a2a.client.errors import A2AClientError, A2AClientTimeoutError
from a2a.types import (
    AgentCard,
    AgentInterface,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseError

from codetether_ray.a2a.interfaces import BINDINGS, GRPC, Choice, choose
from codetether_ray.core.errors import PeerAccessError, PeerError

_TIMEOUT = httpx.Timeout(60.0, connect=10.0, read=600.0)
_FAULTS = (A2AError, httpx.HTTPError, grpc.RpcError, ValueError, OSError)
_NO_ACCESS = {401: "it wants a token", 403: "the token does not allow this"}
_GRPC_STATUSES = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}
_MOST_REASON = 500


def read_card(base: str, data: dict[str, Any]) -> AgentCard:
    """A card as the SDK has it.

    Raises:
        PeerError: it is none.
    """
    try:
        return parse_agent_card(copy.deepcopy(data))
    except (ParseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise PeerError(base, f"its card cannot be read: {_short(error)}") from None


def interface_of(card: AgentCard, base: str, bindings: Sequence[str] = BINDINGS) -> Choice:
    """The interface of a card to be used.

    Raises:
        PeerError: it has none that will do.
    """
    chosen = choose(card.supported_interfaces, base, bindings)
    if chosen is None:
        words = " or ".join(bindings)
        raise PeerError(base, f"its card offers no interface that is understood ({words})")
    return chosen


@asynccontextmanager
async def connected(
    card: AgentCard, base: str, chosen: Choice, token: str, *, streams: bool = True
) -> AsyncIterator[Client]:
    """A client; what goes wrong inside becomes one of our errors.

    Args:
        card: the agent's.
        base: where it was found, for errors.
        chosen: the interface.
        token: shown to it if it is at the card's host; empty: none.
        streams: whether messages are answered by streams, where the agent can.

    Raises:
        PeerAccessError: it wants a token, or another one.
        PeerError: it does not answer, or not as the protocol has it, or refuses.
    """
    shown = token if chosen.is_same_host else ""
    own = AgentCard()
    own.CopyFrom(card)
    del own.supported_interfaces[:]
    own.supported_interfaces.append(
        AgentInterface(
            url=chosen.url, protocol_binding=chosen.binding, protocol_version=chosen.version
        )
    )
    headers = {"Authorization": f"Bearer {shown}"} if shown else {}
    with_errors = _told(base, has_token=bool(shown))
    async with httpx.AsyncClient(
        headers=headers, timeout=_TIMEOUT, follow_redirects=False, trust_env=False
    ) as http:
        config = ClientConfig(
            httpx_client=http,
            streaming=streams,
            supported_protocol_bindings=[chosen.binding],
            grpc_channel_factory=_channels(shown, is_secure=chosen.is_secure),
        )
        client: Client | None = None
        try:
            client = ClientFactory(config).create(own)
            yield client
        except _FAULTS as error:
            raise with_errors(error) from None
        finally:
            if client is not None and chosen.binding == GRPC:
                await client.close()


def request_of(
    text: str, id_: str, *, task_id: str = "", context_id: str = "", at_once: bool = False
) -> SendMessageRequest:
    """A message of ours; `at_once`: the task is wanted as soon as it is there, not its end."""
    message = Message(
        message_id=id_,
        role=Role.ROLE_USER,
        parts=[Part(text=text)],
        task_id=task_id,
        context_id=context_id,
    )
    return SendMessageRequest(
        message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
    )


# -- gRPC -----------------------------------------------------------------------------------------


class _Bearer(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Adds the token to calls that are answered once."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(self, onward: Any, details: Any, request: Any) -> Any:
        return await onward(_with_token(details, self._token), request)


class _StreamBearer(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """The same for streams: gRPC asks an interceptor for one kind of call alone."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_stream(self, onward: Any, details: Any, request: Any) -> Any:
        return await onward(_with_token(details, self._token), request)


def _with_token(details: Any, token: str) -> Any:
    given = grpc.aio.Metadata(*(details.metadata or ()))
    given.add("authorization", f"Bearer {token}")
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, given, details.credentials, details.wait_for_ready
    )


def _channels(token: str, *, is_secure: bool) -> Callable[[str], Any]:
    interceptors = [_Bearer(token), _StreamBearer(token)] if token else []

    def channel(url: str) -> Any:
        if is_secure:
            credentials = grpc.ssl_channel_credentials()
            return grpc.aio.secure_channel(url, credentials, interceptors=interceptors)
        return grpc.aio.insecure_channel(url, interceptors=interceptors)

    return channel


# -- what went wrong ------------------------------------------------------------------------------


def _told(base: str, *, has_token: bool) -> Callable[[BaseException], PeerError]:
    def told(error: BaseException) -> PeerError:
        status = _status(error)
        if status in _NO_ACCESS:
            words = _NO_ACCESS[status]
            if status == 401 and has_token:
                words = "the token is not valid there"
            return PeerAccessError(base, words)
        if isinstance(error, A2AClientTimeoutError | httpx.TimeoutException | TimeoutError):
            return PeerError(base, "it does not answer in time")
        if isinstance(error, A2AError) and not isinstance(error, A2AClientError):
            return PeerError(base, f"it refuses: {_short(error)}")
        return PeerError(base, f"it does not answer as it should: {_short(error)}")

    return told


def _status(error: BaseException | None) -> int:
    """The HTTP status that an error comes of; gRPC's as its like; 0: none."""
    while error is not None:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.status_code
        if isinstance(error, grpc.aio.AioRpcError):
            return _GRPC_STATUSES.get(error.code().name, 0)
        error = error.__cause__
    return 0


def _short(error: BaseException) -> str:
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    return flat[:_MOST_REASON] or type(error).__name__
