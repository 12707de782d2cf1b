"""`/go` and `/autochat`: a relay of agents, with an objective that is approved first or without."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli.repl.jobs import Job
from codetether_ray.cli.repl.lines import Line
from codetether_ray.cli.repl.listing import lent
from codetether_ray.cli.repl.questions import APPROVE, DENY, EDIT, Question
from codetether_ray.cli.repl.runs import Show, follow, options_of
from codetether_ray.cli.repl.screen import plain
from codetether_ray.core.errors import CodetetherError, DecisionNeededError

if TYPE_CHECKING:
    from codetether_ray.bootstrap.relay.gate import OkrAnswer, OkrQuestion
    from codetether_ray.cli.repl.app import Repl
    from codetether_ray.core.okrs import Okr

RUN = "codetether_ray.cli.run:command"


async def go(repl: "Repl", line: Line) -> None:
    """`/go [COUNT] TASK`: an objective is drafted, asked about, and pursued."""
    await relay(repl, line, "go")


async def autochat(repl: "Repl", line: Line) -> None:
    """`/autochat [COUNT] TASK`: at once."""
    await relay(repl, line, "autochat")


async def relay(repl: "Repl", line: Line, verb: str, *, okr_run_id: str = "") -> None:
    """Start a relay, or go on with one where the options say so.

    Raises:
        UsageError: it lacks its task, or its team is too small or too large.
    """
    from codetether_ray.bootstrap.relay.run import run_relay
    from codetether_ray.cli.relay_run import wish_of
    from codetether_ray.cli.slash import parse_slash

    given, task = options_of(RUN, line.text)
    resumed = given["resume"] is not None
    slash = None if resumed else parse_slash(f"/{verb} {task}")
    if not resumed:
        given["model"] = given["model"] or repl.talk.model
    wish = replace(wish_of(slash, given), okr_run_id=okr_run_id)

    async def drive(job: Job, show: Show) -> dict[str, Any]:
        return await run_relay(wish, show, decision(repl, job), repl.say)

    follow(
        repl,
        drive,
        title=task or f"relay {given['resume']}",
        kind="relay",
        lasts=repl.would_last(given["address"]),
        in_background=line.in_background,
        max_time_s=given["max_time"],
    )


def decision(repl: "Repl", job: Job) -> Callable[["OkrQuestion"], Awaitable["OkrAnswer"]]:
    """Shows a draft and asks for a word on it at the prompt."""

    async def decide(question: "OkrQuestion") -> "OkrAnswer":
        from codetether_ray.bootstrap.relay.gate import OkrAnswer
        from codetether_ray.cli.relay_consent import how_to_decide

        try:
            return await _asked(repl, job, question)
        except DecisionNeededError:
            repl.tell(job, f"nothing was decided; {how_to_decide(question.run.id)}", "yellow")
            return OkrAnswer(word="nobody")

    return decide


async def _asked(repl: "Repl", job: Job, question: "OkrQuestion") -> "OkrAnswer":
    """What is said to a draft.

    Raises:
        DecisionNeededError: the input ended.
    """
    from codetether_ray.bootstrap.relay.gate import OkrAnswer
    from codetether_ray.cli.relay_consent import okr_lines

    for text in okr_lines(question.okr):
        repl.tell(job, plain(text))
    while True:
        word = await repl.desk.put(_question("Pursue this?", job, APPROVE, DENY, EDIT))
        if word == APPROVE.word:
            return OkrAnswer(word="approve")
        if word == DENY.word:
            wanted = "What do you want instead? (nothing: leave it)"
            return OkrAnswer(word="deny", intent=await repl.desk.put(_question(wanted, job)))
        okr = await _edited(repl, job, question.okr)
        if okr is not None:
            return OkrAnswer(word="edit", okr=okr)


def _question(text: str, job: Job, *choices: Any) -> Question:
    return Question(text, choices, by=job.name, job=job.number)


async def _edited(repl: "Repl", job: Job, okr: "Okr") -> "Okr | None":
    """The draft as the person's editor leaves it, which has the terminal meanwhile."""
    from codetether_ray.cli.okr_gate import edit

    try:
        return await lent(repl, lambda: edit(okr))
    except (CodetetherError, click.ClickException) as error:
        repl.tell(job, f"not taken: {error}", "yellow")
        return None
