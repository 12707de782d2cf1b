"""What an ingress' card says of where it is reached, and to whom it says more."""

import socket

import pytest
from a2a.compat.v0_3.types import AgentCard as OldCard
from google.protobuf.json_format import ParseDict

from codetether_ray.a2a.cards import card_json, etag_of, old_card_json
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.cards import extended_card, grpc_address, public_card, public_url
from codetether_ray.ingress.options import IngressOptions


@pytest.mark.parametrize(
    ("options", "url", "address"),
    [
        (IngressOptions(), "http://127.0.0.1:4096", "127.0.0.1:50051"),
        (
            IngressOptions(hostname="::1", port=1, grpc_port=2, tls_certificate="c.pem"),
            "https://[::1]:1",
            "[::1]:2",
        ),
        (
            IngressOptions(hostname="0.0.0.0", public_url="https://agents.example.com/base/"),
            "https://agents.example.com/base",
            "agents.example.com:50051",
        ),
        (
            IngressOptions(hostname="0.0.0.0"),
            f"http://{socket.gethostname()}:4096",
            f"{socket.gethostname()}:50051",
        ),
    ],
    ids=["default", "ipv6 with TLS", "behind a proxy", "all addresses"],
)
def test_the_card_says_where_the_ingress_is_reached(
    options: IngressOptions, url: str, address: str
) -> None:
    assert (public_url(options), grpc_address(options)) == (url, address)
    interfaces = public_card(options).supported_interfaces
    assert interfaces[0].url == f"{url}/a2a"
    assert {one.url for one in interfaces if one.protocol_binding == "GRPC"} == {
        address,
        f"{url.partition('://')[0]}://{address}",
    }


def test_one_document_is_a_card_of_both_versions() -> None:
    card = public_card(IngressOptions())
    told = card_json(card)
    assert ParseDict(told, type(card)(), ignore_unknown_fields=True) == card
    old = OldCard.model_validate(told)
    assert old.model_dump() == OldCard.model_validate(old_card_json(card)).model_dump()
    assert old.protocol_version == "0.3"
    assert old.security == [{"bearer": []}]


def test_the_extended_card_tells_whom_it_knows_and_nothing_of_others() -> None:
    options = IngressOptions(model="anthropic/opus")
    card = extended_card(options, Principal(user_id="alice", tenant_id="acme"))
    said = card.skills[-1].description
    assert "acme/alice" in said
    assert "anthropic/opus" in said
    assert [one.id for one in public_card(options).skills] == [one.id for one in card.skills[:-1]]


def test_a_cards_tag_changes_with_what_it_says_and_not_with_its_signature() -> None:
    told = card_json(public_card(IngressOptions()))
    assert etag_of(told) == etag_of(told | {"signatures": [{"signature": "x"}]})
    assert etag_of(told) != etag_of(told | {"name": "another"})
