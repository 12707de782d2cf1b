"""Agent cards: what this agent says of itself, to everybody and to those whom it knows."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from a2a.compat.v0_3.conversions import to_compat_agent_card
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentProvider,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from codetether_ray.a2a.peers import PEER_EXTENSION
from codetether_ray.a2a.versions import CURRENT, OLD

INPUT_MODES = ("text/plain", "application/json", "*/*")
"""Files of any kind are put into the workspace."""
OUTPUT_MODES = ("text/plain", "application/json", "application/octet-stream")
"""What the agent says, and files that it made."""
BEARER = "bearer"
_SKILLS = (
    (
        "code",
        "Work on code",
        "Reads, writes, runs and tests code in a workspace of the conversation's own, and says "
        "what it did.",
        ("coding", "files", "shell"),
        ("Find out why the tests fail and mend it.",),
    ),
    (
        "questions",
        "Answer questions about code",
        "Explains code, designs and errors, reading what it needs.",
        ("coding", "questions"),
        ("What does the scheduler do when a node is lost?",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What cards are made of."""

    name: str
    description: str
    version: str
    """The project's."""
    url: str
    """Of the HTTP server, without a slash at the end."""
    grpc_address: str
    """`host:port`; empty: no gRPC."""
    jsonrpc_path: str = "/a2a"
    rest_path: str = "/a2a/rest"
    pushes: bool = True
    """Whether push notifications are sent."""
    instance: str = ""
    """Of a peer: names the process that answers; see `a2a.peers`."""


def public_card(facts: CardFacts) -> AgentCard:
    """The card for everybody."""
    return AgentCard(
        name=facts.name,
        description=facts.description,
        version=facts.version,
        supported_interfaces=_interfaces(facts),
        provider=AgentProvider(organization="CodeTether", url=facts.url),
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=facts.pushes,
            extended_agent_card=True,
            extensions=_extensions(facts),
        ),
        security_schemes={
            BEARER: SecurityScheme(
                http_auth_security_scheme=HTTPAuthSecurityScheme(
                    scheme="Bearer",
                    description="A token of this server, as `Authorization: Bearer …`, in gRPC as "
                    "the metadata of that name.",
                )
            )
        },
        security_requirements=[SecurityRequirement(schemes={BEARER: StringList()})],
        default_input_modes=INPUT_MODES,
        default_output_modes=OUTPUT_MODES,
        skills=[
            AgentSkill(id=id_, name=name, description=text, tags=tags, examples=examples)
            for id_, name, text, tags, examples in _SKILLS
        ],
    )


def extended_card(facts: CardFacts, details: dict[str, str]) -> AgentCard:
    """The card for those who have a token.

    Args:
        facts: as of the public card.
        details: what else they may know, by name: told as a skill of its own.
    """
    card = public_card(facts)
    said = "; ".join(f"{name}: {value}" for name, value in details.items() if value)
    card.skills.append(
        AgentSkill(
            id="environment",
            name="The environment of the work",
            description=f"What the agent works with. {said}".strip(),
            tags=["environment"],
        )
    )
    return card


def _extensions(facts: CardFacts) -> list[AgentExtension]:
    if not facts.instance:
        return []
    params = Struct()
    params.update({"instance": facts.instance})
    words = "One of a group of peers; it tells whom it knows at /v1/peers."
    return [AgentExtension(uri=PEER_EXTENSION, description=words, params=params)]


def _interfaces(facts: CardFacts) -> list[AgentInterface]:
    """All of them, the preferred one first; a 0.3 client reads those of its own version.

    The SDK's clients of 1.0 connect to a gRPC interface's url as it is; 0.3 wants an absolute URL.
    """
    found = []
    for version in (CURRENT, OLD):
        bindings = [
            ("JSONRPC", facts.url + facts.jsonrpc_path),
            ("HTTP+JSON", facts.url + facts.rest_path),
        ]
        if facts.grpc_address:
            scheme = "" if version == CURRENT else facts.url.partition("://")[0] + "://"
            bindings.append(("GRPC", scheme + facts.grpc_address))
        found += [
            AgentInterface(url=url, protocol_binding=binding, protocol_version=version)
            for binding, url in bindings
        ]
    return found


def card_json(card: AgentCard) -> dict[str, Any]:
    """A card as it is served: version 1.0, and the fields that only 0.3 has beside them."""
    return _merged(MessageToDict(card), old_card_json(card))


def old_card_json(card: AgentCard) -> dict[str, Any]:
    """A card as 0.3 has it."""
    old: dict[str, Any] = to_compat_agent_card(card).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return old


def _merged(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """`new` with what only `old` has; where both have a value, `new`'s counts."""
    both = dict(old)
    for key, value in new.items():
        before = both.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            both[key] = _merged(value, before)
        elif isinstance(value, list) and isinstance(before, list) and len(value) == len(before):
            both[key] = [
                _merged(one, other) if isinstance(one, dict) and isinstance(other, dict) else one
                for one, other in zip(value, before, strict=True)
            ]
        else:
            both[key] = value
    return both


def etag_of(card: dict[str, Any]) -> str:
    """A weak tag of what a card says; its signatures, new with each signing, don't count."""
    said = {key: value for key, value in card.items() if key != "signatures"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
