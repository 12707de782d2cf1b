"""Bodies of `/v1/peers`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from codetether_ray.ports.peers import KnownPeer

Name = Annotated[str, Field(max_length=200)]
Url = Annotated[str, Field(min_length=1, max_length=2000)]


class Introduction(BaseModel):
    """Somebody says who they are. Only the URL counts: the rest is read from the card there."""

    model_config = ConfigDict(extra="forbid")

    url: Url = Field(description="Where the peer's card is: http:// or https://.")
    name: Name = ""
    instance: Name = ""


class Taken(BaseModel):
    """What became of an introduction."""

    is_taken: bool = Field(description="Whether the URL is to be looked at.")


class Skill(BaseModel):
    """Something that an agent says it can do."""

    name: str
    description: str


class Peer(BaseModel):
    """Another agent that answers, in its own words."""

    name: str
    url: str
    description: str
    instance: str = Field(description="Which process it is; empty: it is none of ours.")
    skills: list[Skill]

    @classmethod
    def of(cls, peer: KnownPeer) -> "Peer":
        """As it is told."""
        return cls(
            name=peer.name,
            url=peer.url,
            description=peer.description,
            instance=peer.instance,
            skills=[Skill(name=one.name, description=one.description) for one in peer.skills],
        )


class Peers(BaseModel):
    """Who is known here."""

    name: str
    url: str
    instance: str = Field(description="Of this process; empty: it looks for no peers.")
    peers: list[Peer]
