"""Ingresses in this process, with echo agents, on free ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codetether_ray.ingress.options import IngressOptions
from tests.adapters.ingress.scene import ECHO, Open, Opened, ingress


@pytest.fixture
async def opens(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens ingresses of these options, each with a data directory of its own."""
    async with AsyncExitStack() as stack:
        number = 0

        async def one(options: IngressOptions) -> Opened:
            nonlocal number
            number += 1
            return await stack.enter_async_context(ingress(tmp_path / f"data{number}", options))

        yield one


@pytest.fixture
async def opened(opens: Open) -> Opened:
    """One with echo agents."""
    return await opens(IngressOptions(port=0, grpc_port=0, agents=ECHO))
