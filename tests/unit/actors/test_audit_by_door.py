"""The audit log of an agent on another node: its supervisor's, through the door."""

import asyncio
from typing import Any

import pytest

from codetether_ray.actors.audit import RayAudit
from codetether_ray.actors.door import Door, Served
from codetether_ray.core.errors import AuditError, ClusterError
from codetether_ray.core.usage import Budget
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.ports.audit import Action
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryAudit
from tests.unit.actors.test_door import SlowJournal

KEY = "sk-ant-api03-" + "y" * 40


class Caller:
    def __init__(self, audit: MemoryAudit | None) -> None:
        self.door = Door("swm_x")
        ledger = LocalLedger(Budget(), FakeClock())
        self.door.serve(Served(journal=SlowJournal(), ledger=ledger, audit=audit))
        self.badge = self.door.admit("sub/a")
        self.calls: list[str] = []
        self.is_cut = False

    async def ask(self, verb: str, *arguments: Any) -> Any:
        if self.is_cut:
            raise ClusterError("the run's supervisor is gone: its node died")
        self.calls.append(repr(arguments))
        number = len(self.calls)
        return await self.door.call(self.badge, number, number, verb, arguments)


def tool(name: str) -> Action:
    return Action(category="tool_execution", action=f"tool:{name}", principal="agent:sub/a")


async def test_intents_and_outcomes_arrive_in_order_and_a_busy_agent_needs_few_calls() -> None:
    kept = MemoryAudit()
    caller = Caller(kept)
    audit = RayAudit(caller)  # type: ignore[arg-type]

    async def act(number: int) -> None:
        (id,) = await audit.begin(tool(str(number)))
        audit.end(id, "success", detail={"n": number})

    await asyncio.gather(*(act(number) for number in range(100)))
    await audit.rest()
    assert [a.action for a in kept.intents.values()] == [f"tool:{n}" for n in range(100)]
    assert len(kept.outcomes) == 100
    assert len(caller.calls) < 20


async def test_what_cannot_be_written_there_does_not_happen_here() -> None:
    kept = MemoryAudit()
    audit = RayAudit(Caller(kept))  # type: ignore[arg-type]
    kept.broken = AuditError("its disk is full")
    with pytest.raises(AuditError, match="its disk is full"):
        await audit.begin(tool("bash"))
    kept.broken = None
    assert await audit.begin(tool("bash"), tool("grep")) == ("0", "1")


async def test_without_its_supervisor_an_agent_does_nothing_that_must_be_audited() -> None:
    caller = Caller(MemoryAudit())
    caller.is_cut = True
    with pytest.raises(AuditError, match="its node died"):
        await RayAudit(caller).begin(tool("bash"))  # type: ignore[arg-type]


async def test_a_secret_is_masked_before_it_is_sent() -> None:
    kept = MemoryAudit()
    caller = Caller(kept)
    audit = RayAudit(caller)  # type: ignore[arg-type]
    audit.conceal([KEY])
    (id,) = await audit.begin(
        Action(category="api", action="x", resource=f"say {KEY}", detail={"a": [KEY]})
    )
    audit.end(id, "success", detail={"b": {"c": KEY}})
    await audit.close()
    assert kept.outcomes
    assert not [words for words in caller.calls if KEY in words]
