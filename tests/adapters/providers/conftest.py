"""What the provider tests share."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from codetether_ray.ports.provider import Provider
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.providers.http import Clocks, HttpClient
from codetether_ray.providers.registry import open_provider, parse_model
from codetether_ray.testing.model_server import ModelServer
from tests.adapters.providers.asking import KEY, Connect, EagerClock


@pytest.fixture
def clock() -> EagerClock:
    return EagerClock()


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(clocks=Clocks(connect_s=5, first_byte_s=5, idle_s=0.2, call_s=20))
    yield client
    await client.aclose()


@pytest.fixture
def connect(http: HttpClient, clock: EagerClock) -> Connect:
    """Open a provider that talks to a test server: `connect("anthropic", server)`."""

    def connected(wire: str, server: ModelServer, model: str = "m", **more: Any) -> Provider:
        base_url = server.anthropic_url if wire == "anthropic" else server.url
        return open_provider(
            parse_model(f"{wire}/{model}"),
            secret=ProviderSecret(api_key=KEY),
            http=http,
            clock=more.pop("clock", clock),
            base_url=base_url,
            **more,
        )

    return connected
