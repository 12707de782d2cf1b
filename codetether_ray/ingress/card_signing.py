"""Signs cards where the key is: in the truth's data directory. The key never travels."""

from typing import TYPE_CHECKING, Any

from codetether_ray.ingress.parts import Parts

if TYPE_CHECKING:
    from a2a.types import AgentCard

_HERE = "codetether_ray.ingress.card_signing"


async def signed(card: "AgentCard", parts: Parts) -> "AgentCard":
    """A card with the signature of this server's key."""
    from a2a.types import AgentCard

    from codetether_ray.ingress.cards import public_url

    keys_url = f"{public_url(parts.options)}/.well-known/jwks.json"
    told = await parts.reach.truth.ask(f"{_HERE}:sign_there", card.SerializeToString(), keys_url)
    found: AgentCard = AgentCard.FromString(told)
    return found


async def public_keys(parts: Parts) -> dict[str, Any]:
    """The keys that cards are signed with, as a JWK set."""
    return {"keys": [await parts.reach.truth.ask(f"{_HERE}:key_there")]}


def sign_there(home: Any, card: bytes, keys_url: str) -> bytes:
    """For `Truth.ask`: a serialised card, signed."""
    from a2a.types import AgentCard

    from codetether_ray.a2a.card_keys import CardKey

    key = CardKey.in_directory(home.data_dir)
    told: bytes = key.sign(AgentCard.FromString(card), keys_url).SerializeToString()
    return told


def key_there(home: Any) -> dict[str, Any]:
    """For `Truth.ask`: the public key."""
    from codetether_ray.a2a.card_keys import CardKey

    return CardKey.in_directory(home.data_dir).jwk
