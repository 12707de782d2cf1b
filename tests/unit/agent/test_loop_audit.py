"""Every call is in the audit log before it is made, and how it ended after it."""

import asyncio
from typing import Any

from codetether_ray.core.errors import AuditError, ConnectionLostError, PathEscapesError
from codetether_ray.core.events import ToolFinished, ToolStarted
from codetether_ray.core.messages import user
from codetether_ray.ports.audit import Action
from codetether_ray.ports.tool import Effect, ToolContext
from codetether_ray.testing.fakes import MemoryAudit, make_spec
from tests.unit.agent.scenes import Scene, by_step, call, says

_GO = user("go")
_SECRET = "the very words of an argument"


def _listed(audit: MemoryAudit) -> list[tuple[str, str, str]]:
    return [
        (a.category, a.action, audit.outcomes.get(id, ("unknown", {}))[0])
        for id, a in audit.intents.items()
    ]


async def test_every_model_call_and_every_tool_call_has_one_intent_and_one_outcome() -> None:
    audit = MemoryAudit()
    script = by_step(
        says(call("1", "read"), call("2", "read")),
        says(call("3", "write"), call("4", "shell"), call("5", "task")),
        "done",
    )
    scene = Scene(script, audit=audit)
    assert (await scene.turn(_GO)).is_success
    assert _listed(audit) == [
        ("api", "model.call", "success"),
        ("tool_execution", "tool:read", "success"),
        ("tool_execution", "tool:read", "success"),
        ("api", "model.call", "success"),
        ("tool_execution", "tool:write", "success"),
        ("sandbox", "tool:shell", "success"),
        ("tool_execution", "tool:task", "success"),
        ("api", "model.call", "success"),
    ]
    first = audit.intents["0"]
    assert (first.principal, first.resource) == ("agent:main", "scripted/model")
    assert first.correlation == scene.spec.correlation
    assert audit.outcomes["0"][1]["tokens"] == {"prompt": 100, "completion": 10}
    assert {e.policy for e in scene.of(ToolStarted)} == {"kind:main"}


async def test_an_intent_is_on_disk_before_the_effect() -> None:
    audit = MemoryAudit()
    known: list[int] = []

    async def shell(arguments: dict[str, Any], ctx: ToolContext) -> str:
        known.append(sum(a.action == "tool:shell" for a in audit.intents.values()))
        return "ran"

    script = by_step(says(call("1", "shell"), call("2", "shell")), "done")
    await Scene(script, audit=audit, tools={"shell": (Effect.SHELL, shell)}).turn(_GO)
    assert known == [1, 2]


async def test_no_content_is_audited() -> None:
    audit = MemoryAudit()

    async def read(arguments: dict[str, Any], ctx: ToolContext) -> str:
        return f"result: {_SECRET}"

    script = by_step(says(call("1", "read", text=_SECRET)), f"answer: {_SECRET}")
    tools = {"read": (Effect.READ, read)}
    await Scene(script, audit=audit, tools=tools).turn(user(f"task: {_SECRET}"))
    assert _SECRET not in repr((audit.intents, audit.outcomes))


async def test_an_action_whose_intent_cannot_be_written_does_not_happen() -> None:
    audit = MemoryAudit()
    script = by_step(says(call("1", "shell"), call("2", "write")), "done")
    scene = Scene(script, audit=audit)
    begin = audit.begin

    async def refusing(*actions: Action) -> tuple[str, ...]:
        if any(a.action == "tool:shell" for a in actions):
            raise AuditError("the disk is full")
        return await begin(*actions)

    audit.begin = refusing  # type: ignore[method-assign]
    result = await scene.turn(_GO)
    assert (result.outcome, result.error_kind) == ("failed", "AuditError")
    assert not scene.toolbox.calls
    told = {e.result.call_id: e for e in scene.of(ToolFinished)}
    assert told["1"].result.content == "not run: the disk is full"
    assert not told["1"].interrupted

    again = Scene(script, recorded=scene.events, audit=MemoryAudit())
    assert (await again.turn(_GO)).is_success


async def test_no_model_is_asked_where_nothing_can_be_audited() -> None:
    audit = MemoryAudit()
    audit.broken = AuditError("the disk is full")
    scene = Scene(["done"], audit=audit)
    result = await scene.turn(_GO)
    assert (result.outcome, result.error_kind) == ("failed", "AuditError")
    assert not scene.provider.requests


async def test_what_is_refused_is_a_denied_decision() -> None:
    audit = MemoryAudit()

    async def escaping(arguments: dict[str, Any], ctx: ToolContext) -> str:
        raise PathEscapesError("/etc/passwd")

    script = by_step(
        says(call("1", "nothing_of_that_name")),
        says(call("2", "read")),
        says(call("3", "note"), call("4", "note")),
    )
    scene = Scene(
        script,
        audit=audit,
        tools={"read": (Effect.READ, escaping)},
        spec=make_spec(max_tool_calls=3),
    )
    await scene.turn(_GO)
    assert [x for x in _listed(audit) if x[0] != "api"] == [
        ("policy", "tool:unknown", "denied"),
        ("tool_execution", "tool:read", "denied"),
        ("tool_execution", "tool:note", "success"),
        ("policy", "tool:note", "denied"),
    ]


async def test_failures_and_cancellations_are_outcomes_too() -> None:
    audit = MemoryAudit()
    scene = Scene([says(call("1", "shell")), ConnectionLostError("p", "gone")], audit=audit)

    async def failing(arguments: dict[str, Any], ctx: ToolContext) -> str:
        raise ValueError("inside")

    scene.toolbox.tools["shell"] = Effect.SHELL, failing
    await scene.turn(_GO)
    assert [x[2] for x in _listed(audit)] == ["success", "failure", "failure"]

    async def hanging(arguments: dict[str, Any], ctx: ToolContext) -> str:
        scene.loop.cancel()
        await asyncio.sleep(3600)
        return "never"

    audit = MemoryAudit()
    scene = Scene([says(call("1", "shell"))], audit=audit)
    scene.toolbox.tools["shell"] = Effect.SHELL, hanging
    assert (await scene.turn(_GO)).outcome == "cancelled"
    assert audit.outcomes["1"] == ("failure", {"error": "CancelledError"})


async def test_calls_that_a_tool_makes_are_audited_like_any_other() -> None:
    audit = MemoryAudit()

    async def several(arguments: dict[str, Any], ctx: ToolContext) -> str:
        assert ctx.run_tool is not None
        return await ctx.run_tool("write", "{}") + await ctx.run_tool("read", "{}")

    script = by_step(says(call("1", "shell")), "done")
    await Scene(script, audit=audit, tools={"shell": (Effect.SHELL, several)}).turn(_GO)
    inner = [a for a in audit.intents.values() if "within" in a.detail]
    assert [(a.action, a.detail["within"]) for a in inner] == [
        ("tool:write", "1"),
        ("tool:read", "1"),
    ]
    assert len(audit.outcomes) == len(audit.intents)
