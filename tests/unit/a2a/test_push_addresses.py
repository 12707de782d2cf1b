"""Where pushes may go."""

import asyncio
import socket

import pytest
from a2a.types import InvalidParamsError

from codetether_ray.a2a.push_addresses import (
    NotPublicError,
    PublicResolver,
    check_url,
    is_public,
)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "not an address",
    ],
)
def test_what_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_what_is_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://example.com:99999/",
        "http://user:secret@example.com/",
        "http://exa mple.com/",
        "http://example.com/\r\nX-Evil: 1",
        "http://example.com/" + "x" * 2_000,
        "http://127.0.0.1/hook",
        "http://[::1]:8080/",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/",
        "http://api.localhost./",
    ],
)
async def test_a_url_that_may_not_be_pushed_to_is_refused(url: str) -> None:
    with pytest.raises(InvalidParamsError):
        await check_url(url, allows_private=False)


async def test_a_private_address_may_be_allowed() -> None:
    await check_url("http://127.0.0.1:8080/hook", allows_private=True)
    with pytest.raises(InvalidParamsError):
        await check_url("ftp://127.0.0.1/", allows_private=True)


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name stand for these."""

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        if not addresses:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_a_name_with_one_private_address_among_others_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(NotPublicError, match=r"10\.0\.0\.1"):
        await PublicResolver().resolve("example.com", 80)
    with pytest.raises(InvalidParamsError, match="not public"):
        await check_url("https://example.com/", allows_private=False)


async def test_the_connection_goes_to_the_address_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "8.8.8.8")
    found = await PublicResolver().resolve("example.com", 80)
    assert [(each["host"], each["flags"]) for each in found] == [("8.8.8.8", socket.AI_NUMERICHOST)]


async def test_a_name_that_cannot_be_resolved_now_is_looked_at_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch)
    await check_url("https://example.com/", allows_private=False)
