"""`/v1/peers`: whom a peer knows, and a way to be known by it, without a message to its agent."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from codetether_ray.core.errors import UsageError
from codetether_ray.ingress.cards import public_url
from codetether_ray.ingress.http.shapes import peers as shapes

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts


def router(parts: "Parts") -> APIRouter:
    """The routes of peers."""
    made = APIRouter(tags=["peers"])

    @made.get("/v1/peers")
    async def peers() -> shapes.Peers:
        """Who answered lately; none where nobody looks for peers (`codetether serve`)."""
        options = parts.options
        known = parts.peers.peers() if parts.peers is not None else ()
        return shapes.Peers(
            name=options.name,
            url=public_url(options),
            instance=options.instance,
            peers=[shapes.Peer.of(peer) for peer in known],
        )

    @made.post(
        "/v1/peers/introduce",
        responses={400: {"description": "Nobody looks for peers here, or that is no URL."}},
    )
    async def introduce(body: shapes.Introduction) -> shapes.Taken:
        """Have somebody looked at; if an agent's card is there, it becomes a peer."""
        from codetether_ray.a2a.peers import whole_url

        if parts.peers is None:
            raise UsageError(
                "this server looks for no peers; `codetether spawn` makes one that does"
            )
        if not whole_url(body.url):
            raise UsageError("url must be http:// or https:// with a host, and nothing else")
        return shapes.Taken(is_taken=parts.peers.introduced(body.url))

    return made
