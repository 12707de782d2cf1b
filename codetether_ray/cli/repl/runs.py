"""Runs of several agents that are started at the prompt, in front or in the background."""

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli.repl.jobs import Job
from codetether_ray.cli.repl.kinds import KINDS
from codetether_ray.cli.repl.lines import Line, split_options
from codetether_ray.cli.repl.questions import APPROVE, DENY, Question
from codetether_ray.cli.repl.screen import plain
from codetether_ray.cli.swarm_consent import plan_lines
from codetether_ray.core.errors import DecisionNeededError, UsageError
from codetether_ray.core.events import Record, RunStarted
from codetether_ray.core.usage import Usage
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl

Show = Callable[[Record], None]
Driven = Callable[[Job, Show], Coroutine[Any, Any, dict[str, Any]]]
"""Drives a run to its result, showing its records."""


def options_of(like: str, text: str) -> tuple[dict[str, Any], str]:
    """The options at the head of `text`, read as the CLI's command `like` reads them, and the rest.

    Raises:
        click.ClickException: they are wrong.
        click.exceptions.Exit: they ask for help, which was printed.
    """
    module, _, attribute = like.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    words, rest = split_options(text, command)
    takes_text = any(isinstance(p, click.Argument) for p in command.params)
    arguments = [*words, "--", rest] if takes_text and rest else words
    with command.make_context(f"/{command.name}", arguments) as context:
        return dict(context.params), rest


async def swarm(repl: "Repl", line: Line) -> None:
    """`/swarm TASK`: as `codetether swarm`."""
    given, task = options_of("codetether_ray.cli.swarm:command", line.text)
    if given["resume"] is None and not task:
        raise UsageError("/swarm needs a task: /swarm [OPTIONS] TASK [&]")
    given["model"] = given["model"] or repl.talk.model
    from codetether_ray.bootstrap.swarm.run import run_swarm
    from codetether_ray.cli.swarm import wish_of

    wish = wish_of(task, given)

    async def drive(job: Job, show: Show) -> dict[str, Any]:
        return await run_swarm(wish, show, consent(repl, job, is_given=given["yes"]), repl.say)

    follow(
        repl,
        drive,
        title=task or f"swarm {given['resume']}",
        kind="swarm",
        lasts=not given["is_local"] and repl.would_last(given["address"]),
        in_background=line.in_background,
        max_time_s=given["max_time"],
    )


def follow(
    repl: "Repl",
    drive: Driven,
    *,
    title: str,
    kind: str,
    in_background: bool,
    lasts: bool = False,
    max_time_s: float | None = None,
) -> Job:
    """Start a run as a job, show how it goes, and its result."""

    async def work(job: Job) -> None:
        view = KINDS[kind].view()
        job.status = lambda: view.headline(time.time())

        def show(record: Record) -> None:
            if isinstance(record.event, RunStarted):
                job.run_id = view.run_id = record.correlation.run_id
            for said in view.apply(record):
                repl.tell(job, plain(said), "yellow" if _is_trouble(said) else "dim")

        loop = asyncio.get_running_loop()
        alarm = loop.call_later(max_time_s, job.stop) if max_time_s else None
        try:
            result = await drive(job, show)
        finally:
            if alarm is not None:
                alarm.cancel()
        finish(repl, job, result)

    return repl.begin(work, title, kind=kind, lasts=lasts, in_background=in_background)


def finish(repl: "Repl", job: Job, result: dict[str, Any]) -> None:
    """Show a run's result, and count what it used."""
    shown = KINDS[job.kind]
    for text in (*shown.answer(result), *shown.summary(result)):
        for line in plain(text).split("\n"):
            repl.tell(job, line)
    counts = {k: v for k, v in result["usage"].items() if k in Usage.__dataclass_fields__}
    repl.tally.add(job.kind, job.run_id or job.name, Usage(**counts), result["cost_usd"])


def consent(
    repl: "Repl", job: Job, *, is_given: bool
) -> Callable[[Plan, Estimate], Awaitable[bool]]:
    """Shows a plan and asks for a word on it at the prompt."""

    async def ask(plan: Plan, cost: Estimate) -> bool:
        for text in plan_lines(plan, cost):
            repl.tell(job, plain(text))
        if is_given:
            return True
        question = Question("Carry this plan out?", (APPROVE, DENY), by=job.name, job=job.number)
        try:
            return await repl.desk.put(question) == APPROVE.word
        except DecisionNeededError as error:
            repl.tell(job, str(error), "yellow")
            return False

    return ask


def _is_trouble(said: str) -> bool:
    return said.startswith("warning") or "failed" in said or "not merged" in said
