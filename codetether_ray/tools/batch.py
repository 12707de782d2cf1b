"""The tool `batch`: several tool calls in one."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from codetether_ray.core.errors import ToolError
from codetether_ray.ports.tool import Effect, Tool, ToolContext
from codetether_ray.tools.arguments import Arguments
from codetether_ray.tools.catalog import ALL_TOOLS, ASKING, SPAWNING, load

_MOST = 25  # calls
_ALONE = ("batch", ASKING, *SPAWNING)
"""Agents are found by the id of the call that started them, which a batch has once; a question
ends the turn."""


class BatchCall(Arguments):
    """One call."""

    tool: str
    args: dict[str, Any] = Field(default_factory=dict)


class BatchArgs(Arguments):
    """Run several tools (not batch, task, swarm or ralph) in one call; a failure stops none of the
    others.
    """

    calls: list[BatchCall] = Field(min_length=1, max_length=_MOST)


async def batch(args: BatchArgs, ctx: ToolContext) -> str:
    """Every call's answer, in order. Reading calls in a row run at once, others one by one."""
    if ctx.run_tool is None:
        raise ToolError("batch cannot be used here; call the tools one by one")
    answers: list[str] = []
    for group in _groups(args.calls):
        answers += await asyncio.gather(*(_answer(call, ctx) for call in group))
    blocks = [
        f"[{number}: {call.tool}]\n{answer}"
        for number, (call, answer) in enumerate(zip(args.calls, answers, strict=True), 1)
    ]
    return "\n\n".join(blocks)


async def _answer(call: BatchCall, ctx: ToolContext) -> str:
    if call.tool in _ALONE:
        return f"error: {call.tool} cannot be called in a batch; call it by itself"
    if ctx.run_tool is None:
        raise ToolError("batch cannot be used here")
    try:
        return await ctx.run_tool(call.tool, json.dumps(call.args))
    except ToolError as error:
        return f"error: {error}"


def _groups(calls: Sequence[BatchCall]) -> list[list[BatchCall]]:
    """Calls that may run at once: neighbours that only read."""
    groups: list[list[BatchCall]] = []
    joins = False
    for call in calls:
        reads = call.tool in ALL_TOOLS and load(call.tool).effect is Effect.READ
        if reads and joins:
            groups[-1].append(call)
        else:
            groups.append([call])
        joins = reads
    return groups


TOOL = Tool("batch", BatchArgs, batch, Effect.SHELL, timeout_s=7200.0)
