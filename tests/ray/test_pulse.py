"""Who looks after an actor, and ends."""

import asyncio
from typing import Any

import pytest

from codetether_ray.actors.pulse import Body, keep_alive


class Answering:
    """An actor that answers when it is told to."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self.__ray_call__ = self

    def options(self, **_: Any) -> "Answering":
        return self

    def remote(self, *_: Any) -> "asyncio.Future[Body]":
        return self.answer


@pytest.mark.parametrize("turns", range(8))
async def test_who_keeps_an_actor_alive_ends_at_whatever_moment_it_is_told_to(turns: int) -> None:
    """Also just as the actor says which process it is: a close waited for ever then."""
    actor = Answering()
    keeping = asyncio.create_task(keep_alive(actor, 60))
    for _ in range(5):
        await asyncio.sleep(0)
    actor.answer.set_result(Body("node", None))
    for _ in range(turns):
        await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=20)
    assert keeping.cancelled()
