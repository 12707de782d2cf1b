"""What `codetether swarm` asks: a word on its plan."""

import asyncio
import sys
from typing import TextIO

from codetether_ray.cli import words
from codetether_ray.cli.live import Progress
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan


class Consent:
    """Shows a plan and asks for a word on it, where there is somebody to ask."""

    def __init__(
        self,
        progress: Progress,
        *,
        is_given: bool,
        stdin: TextIO = sys.stdin,
        stderr: TextIO = sys.stderr,
    ) -> None:
        self._progress = progress
        self._is_given = is_given
        self._stdin, self._stderr = stdin, stderr

    async def ask(self, plan: Plan, cost: Estimate) -> bool:
        """Whether the plan shall be carried out."""
        self._progress.pause()
        try:
            return await self._asked(plan, cost)
        finally:
            self._progress.go_on()

    async def _asked(self, plan: Plan, cost: Estimate) -> bool:
        for line in plan_lines(plan, cost):
            self._stderr.write(line + "\n")
        if self._is_given:
            return True
        if not (self._stdin.isatty() and self._stderr.isatty()):
            self._stderr.write("nobody can be asked here: `--yes` approves a plan beforehand\n")
            return False
        self._stderr.write("Carry this plan out? [y/N] ")
        self._stderr.flush()
        answer = await typed_line(self._stdin)
        return answer.strip().lower() in ("y", "yes")


async def typed_line(stream: TextIO) -> str:
    """A line that a person types, empty at the end of input; waiting for it can be cancelled."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not ready.done():
            ready.set_result(stream.readline())

    loop.add_reader(stream.fileno(), read)
    try:
        return await ready
    finally:
        loop.remove_reader(stream.fileno())


def plan_lines(plan: Plan, cost: Estimate) -> list[str]:
    """The plan and what it may take."""
    out = [f"plan: {words.plural(len(plan.subtasks), 'subtask')}"]
    for number, subtask in enumerate(plan.subtasks, 1):
        names = ", ".join(plan.by_id[need].name for need in subtask.dependencies)
        after = f" (after {names})" if names else ""
        out.append(f"  {number}. {subtask.name}{after}: {words.one_line(subtask.instruction, 100)}")
    out += [f"  warning: {warning}" for warning in plan.warnings]
    price = "" if cost.cost_usd is None else f", about ${cost.cost_usd:.2f}"
    total = words.count(cost.total_tokens)
    return [*out, f"estimate: {words.plural(cost.agents, 'agent')}, about {total} tokens{price}"]
