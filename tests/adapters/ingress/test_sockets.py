"""Ports are taken alone or shared, and who has them is told in a sentence."""

import socket

import pytest

from codetether_ray.core.errors import AddressError, PortTakenError
from codetether_ray.ingress.checks import settled
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.sockets import addresses_of, bound, close_all, free_port


@pytest.fixture
def taken() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


def test_a_port_of_a_stranger_is_told_with_the_option_that_changes_it(taken: socket.socket) -> None:
    with taken, pytest.raises(PortTakenError, match="--grpc-port"):
        free_port("127.0.0.1", taken.getsockname()[1], "--grpc-port")


def test_replicas_share_a_port_and_a_second_ingress_sees_that_it_is_taken() -> None:
    first = bound("127.0.0.1", 0, shares=True)
    port = first[0].getsockname()[1]
    second = bound("127.0.0.1", port, shares=True)
    for one in (*first, *second):
        one.listen()
    try:
        with pytest.raises(PortTakenError):
            free_port("127.0.0.1", port)
    finally:
        close_all([*first, *second])
    assert free_port("127.0.0.1", port) == port


def test_a_name_of_several_addresses_has_one_port_on_all_of_them() -> None:
    made = bound("localhost", 0, shares=False)
    try:
        assert len({one.getsockname()[1] for one in made}) == 1
        assert made[0].getsockname()[0] == "127.0.0.1"
    finally:
        close_all(made)


def test_addresses_that_are_not_here_are_told() -> None:
    with pytest.raises(AddressError, match=r"192\.0\.2\.1"):
        bound("192.0.2.1", 0, shares=False)
    with pytest.raises(AddressError, match=r"no\.such\.invalid"):
        addresses_of("no.such.invalid")
    with pytest.raises(AddressError):
        addresses_of("a" * 300)


def test_any_free_ports_become_two_numbers() -> None:
    found = settled(IngressOptions(port=0, grpc_port=0))
    assert 0 != found.port != found.grpc_port != 0
