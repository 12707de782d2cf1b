"""Which interface of a card is used, and where a token may go."""

from dataclasses import dataclass

import pytest

from codetether_ray.a2a.interfaces import Choice, choose

BASE = "http://127.0.0.1:4096"


@dataclass
class Offer:
    url: str
    protocol_binding: str = "JSONRPC"
    protocol_version: str = "1.0"


def chosen(*offers: Offer, base: str = BASE, bindings: tuple[str, ...] = ()) -> Choice:
    found = choose(offers, base, bindings) if bindings else choose(offers, base)
    assert found is not None
    return found


def test_the_newer_version_and_the_preferred_transport_are_used() -> None:
    offers = [
        Offer("http://127.0.0.1:4096/rest", "HTTP+JSON"),
        Offer("http://127.0.0.1:4096/old", protocol_version="0.3.0"),
        Offer("http://127.0.0.1:4096/new"),
        Offer("127.0.0.1:50051", "GRPC"),
    ]
    assert chosen(*offers).url == "http://127.0.0.1:4096/new"
    assert chosen(*offers, bindings=("GRPC",)).url == "127.0.0.1:50051"
    assert chosen(*offers[:2]).version == "0.3"


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example.com/a2a",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.evil.example.com:4097/a2a",
        "https://evil.example.com:4096/a2a",
    ],
)
def test_another_host_is_no_place_for_a_token(url: str) -> None:
    assert not chosen(Offer(url)).is_same_host


def test_a_card_cannot_make_its_own_host_of_another_one() -> None:
    evil = Offer("http://evil.example.com:4096/a2a")  # the scheme and port of the card
    found = chosen(evil, base="http://good.example.com:4096")
    assert found.is_same_host
    assert found.url == "http://good.example.com:4096/a2a"  # so it is asked at the good host
    usual = chosen(Offer("https://other.example.com/a2a"), base="https://good.example.com:443")
    assert (usual.is_same_host, usual.url) == (False, "https://other.example.com/a2a")
    other = chosen(Offer("evil.example.com:1", "GRPC"), evil, base="http://good.example.com:4096",
                   bindings=("GRPC",))  # fmt: skip
    assert other.url == "good.example.com:1"


def test_names_of_this_machine_are_one_host() -> None:
    found = chosen(Offer("http://127.0.0.1:4096/a2a"), base="http://localhost:4096")
    assert (found.is_same_host, found.url) == (True, "http://localhost:4096/a2a")


def test_what_came_by_tls_does_not_go_on_without() -> None:
    base = "https://agent.example.com"
    assert not chosen(Offer("http://agent.example.com/a2a"), base=base).is_same_host
    assert chosen(Offer("agent.example.com:443", "GRPC"), base=base).is_secure


@pytest.mark.parametrize(
    "offer",
    [
        Offer("ftp://127.0.0.1/a"),
        Offer("http://user:pw@127.0.0.1/a"),
        Offer("http://127.0.0.1:bad/a"),
        Offer("http://127.0.0.1/a", "SOAP"),
        Offer("http://127.0.0.1/a", protocol_version="2.0"),
        Offer(""),
    ],
)
def test_what_is_not_understood_is_not_used(offer: Offer) -> None:
    assert choose([offer], BASE) is None
