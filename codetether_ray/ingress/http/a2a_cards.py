"""The public card, at both well-known paths: cached by whoever asks, asked again by its tag."""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from codetether_ray.a2a.cards import card_json, etag_of
from codetether_ray.ingress.card_signing import public_keys, signed
from codetether_ray.ingress.cards import public_card
from codetether_ray.ingress.http.a2a_jsonrpc import dumped
from codetether_ray.ingress.parts import Parts

PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
KEYS = "/.well-known/jwks.json"
"""The keys that sign cards and notifications: as public as the card."""
MAX_AGE_S = 300


class PublicCard:
    """The card, made when it is asked for the first time: it is the same until the end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._card: dict[str, Any] | None = None
        self._keys: dict[str, Any] | None = None
        self._since = datetime.now(UTC).replace(microsecond=0)

    async def answer(self, request: Request) -> Response:
        """The card, or that it has not changed."""
        card = await self._made()
        kind = "private" if self._parts.options.is_card_private else "public"
        headers = {
            "ETag": etag_of(card),
            "Last-Modified": format_datetime(self._since, usegmt=True),
            "Cache-Control": f"{kind}, max-age={MAX_AGE_S}",
            "Vary": "Authorization" if kind == "private" else "Accept-Encoding",
        }
        if self._is_known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(dumped(card), headers=headers, media_type="application/json")

    async def keys(self, request: Request) -> Response:
        """The public keys of the card's signatures, as a JWK set."""
        if self._keys is None:  # anybody may ask, and the truth is asked once
            self._keys = await public_keys(self._parts)
        kind = "private" if self._parts.options.is_card_private else "public"
        headers = {"Cache-Control": f"{kind}, max-age={MAX_AGE_S}"}
        return Response(dumped(self._keys), headers=headers, media_type="application/json")

    async def _made(self) -> dict[str, Any]:
        if self._card is None:
            options = self._parts.options
            card = public_card(options)
            if options.is_card_signed:
                card = await signed(card, self._parts)
            self._card = card_json(card)
        return self._card

    def _is_known(self, request: Request, tag: str) -> bool:
        """Whether the client has this very card; its tag counts before its date (RFC 9110)."""
        tags = request.headers.get("if-none-match")
        if tags is not None:
            known = [one.strip().removeprefix("W/") for one in tags.split(",")]
            return "*" in known or tag.removeprefix("W/") in known
        try:
            since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
            return since.tzinfo is not None and since >= self._since
        except (ValueError, TypeError, IndexError, OverflowError):
            return False


def routes(parts: Parts) -> list[BaseRoute]:
    """Both paths of the card, and its keys."""
    card = PublicCard(parts)
    found: list[BaseRoute] = [Route(path, card.answer, methods=["GET"]) for path in PATHS]
    return [*found, Route(KEYS, card.keys, methods=["GET"])]
