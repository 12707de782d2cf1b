import asyncio

import pytest

from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.core.errors import AgentLostError
from codetether_ray.core.messages import user
from codetether_ray.core.spec import Correlation
from codetether_ray.local.agent import LocalAgent
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import (
    FakeSandbox,
    MemoryJournal,
    MemoryLedger,
    MemoryPublisher,
    MemoryToolBox,
    ScriptedProvider,
    make_spec,
)


class _World:
    def __init__(self, script, publisher=None) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.wired = 0
        self.provider = ScriptedProvider(script)
        self.publisher = publisher or MemoryPublisher()
        links = AgentLinks(publisher=self.publisher, ledger=MemoryLedger())
        self.agent = LocalAgent(make_spec("sub/a"), links, self.wire)

    async def wire(self, spec, links) -> AgentParts:
        self.wired += 1
        await self.gate.wait()
        return AgentParts(
            links=links,
            provider=self.provider,
            toolbox=MemoryToolBox({}),
            sandbox=FakeSandbox(),
            clock=FakeClock(),
            mask=str,
        )


async def _ticks(n: int = 30) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_turns_come_one_after_another_in_the_order_asked() -> None:
    alive = 0

    async def script(request):
        nonlocal alive
        alive += 1
        await _ticks(5)
        assert alive == 1
        alive -= 1
        return f"answer to {request.messages[-1].text}"

    world = _World(script)
    results = await asyncio.gather(*(world.agent.turn(user(str(n))) for n in range(4)))
    assert [r.text for r in results] == [f"answer to {n}" for n in range(4)]
    assert world.wired == 1


async def test_status_and_cancel_answer_while_a_turn_runs() -> None:
    never = asyncio.Event()

    async def script(request):
        await never.wait()

    world = _World(script)
    turn = asyncio.create_task(world.agent.turn(user("go")))
    assert (await world.agent.status()).state == "starting"
    await _ticks()
    status = await world.agent.status()
    assert (status.path, status.state) == ("sub/a", "running")
    await world.agent.cancel()
    assert (await turn).outcome == "cancelled"
    assert (await world.agent.status()).state == "waiting"


async def test_a_cancel_while_the_agent_starts_is_not_lost() -> None:
    world = _World(["never asked", "second"])
    world.gate.clear()
    turn = asyncio.create_task(world.agent.turn(user("go")))
    await _ticks()
    await world.agent.cancel()
    world.gate.set()
    assert (await turn).outcome == "cancelled"
    assert not world.provider.requests
    assert (await world.agent.turn(user("again"))).is_success


async def test_cancelling_the_caller_cancels_the_turn_and_frees_the_agent() -> None:
    never = asyncio.Event()

    async def script(request):
        if len(world.provider.requests) == 1:
            await never.wait()
        return "fine"

    world = _World(script)
    turn = asyncio.create_task(world.agent.turn(user("go")))
    await _ticks()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert world.publisher.recorded[-1].result.outcome == "cancelled"
    assert (await world.agent.turn(user("more"))).text == "fine"


async def test_closing_ends_the_turn_the_provider_and_the_agent() -> None:
    never = asyncio.Event()

    async def script(request):
        await never.wait()

    world = _World(script)
    turn = asyncio.create_task(world.agent.turn(user("go")))
    await _ticks()
    await world.agent.close()
    assert (await turn).outcome == "cancelled"
    assert world.provider.is_closed
    assert (await world.agent.status()).state == "ended"
    await world.agent.close()
    with pytest.raises(AgentLostError):
        await world.agent.turn(user("more"))


async def test_a_wiring_that_fails_can_be_tried_again() -> None:
    world = _World(["fine"])
    wire = world.wire
    failures = [ValueError("no such provider")]

    async def flaky(spec, links):
        if failures:
            raise failures.pop()
        return await wire(spec, links)

    world.agent._wiring = flaky
    with pytest.raises(ValueError, match="no such provider"):
        await world.agent.turn(user("go"))
    assert (await world.agent.turn(user("go"))).is_success


async def test_an_agent_lives_on_in_another_process_by_its_journal() -> None:
    journal = MemoryJournal()
    run = Correlation(run_id="ses_0000000000_00000000")

    def publisher():
        return LocalPublisher(journal, None, run, "sub/a", SystemClock())

    await _World(["first"], publisher()).agent.turn(user("a"))
    world = _World(["second"], publisher())
    assert (await world.agent.turn(user("b"))).text == "second"
    assert [m.text for m in world.provider.requests[0].messages] == ["a", "first", "b"]
    assert [r.agent_seq for r in journal.records] == list(range(len(journal.records)))
