"""The cards of an ingress, made of its options."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from codetether_ray import __version__
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.options import IngressOptions

if TYPE_CHECKING:
    from a2a.types import AgentCard

    from codetether_ray.a2a.cards import CardFacts

_WILDCARDS = ("0.0.0.0", "::", "")
_DESCRIPTION = "A coding agent: it works on code in a workspace of its own, one per conversation."


def public_url(options: IngressOptions) -> str:
    """Where the HTTP server is reached; of a wildcard address, by this machine's name."""
    if options.public_url:
        return options.public_url.rstrip("/")
    scheme = "https" if options.tls_certificate else "http"
    return f"{scheme}://{_host(options)}:{options.port}"


def grpc_address(options: IngressOptions) -> str:
    """Where the gRPC server is reached, `host:port`, on the host of the public URL."""
    host = urlsplit(options.public_url).hostname if options.public_url else None
    if host and ":" in host:
        host = f"[{host}]"
    return f"{host or _host(options)}:{options.grpc_port}"


def _host(options: IngressOptions) -> str:
    import socket

    host = options.hostname
    if host in _WILDCARDS:
        host = socket.gethostname()
    return f"[{host}]" if ":" in host else host


def facts_of(options: IngressOptions) -> "CardFacts":
    """What the cards are made of."""
    from codetether_ray.a2a.cards import CardFacts

    return CardFacts(
        name=options.name,
        description=options.description or _DESCRIPTION,
        version=__version__,
        url=public_url(options),
        grpc_address=grpc_address(options),
        instance=options.instance,
    )


def public_card(options: IngressOptions) -> "AgentCard":
    """The card for everybody."""
    from codetether_ray.a2a import cards

    return cards.public_card(facts_of(options))


def extended_card(options: IngressOptions, principal: Principal) -> "AgentCard":
    """The card for somebody who has a token."""
    from codetether_ray.a2a import cards

    details = {
        "known here as": principal.owner,
        "model": options.model,
        "workspace": "a worktree of the server's repository" if options.directory else "empty",
        "largest request": f"{options.max_body_bytes} bytes",
    }
    return cards.extended_card(facts_of(options), details)
