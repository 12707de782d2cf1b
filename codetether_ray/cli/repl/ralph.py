"""`/ralph`: a PRD is worked off, drafted or looked at."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codetether_ray.cli.repl.jobs import Job
from codetether_ray.cli.repl.lines import Line
from codetether_ray.cli.repl.listing import printed
from codetether_ray.cli.repl.questions import APPROVE, DENY, Question
from codetether_ray.cli.repl.runs import Show, follow, options_of
from codetether_ray.cli.repl.screen import plain
from codetether_ray.core.errors import DecisionNeededError

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl

RUN, GROUP = "codetether_ray.cli.ralph_run:run", "codetether_ray.cli.ralph:command"
PRINTING = ("status", "create-prd", "fetch")
"""Commands of `codetether ralph` that print and return."""


async def ralph(repl: "Repl", line: Line) -> None:
    """`/ralph [PATH]`: work a PRD off; `/ralph status` and its like as the CLI's."""
    first, _, rest = line.text.partition(" ")
    if first in PRINTING:
        await printed(repl, GROUP, rest, first)
        return
    from codetether_ray.bootstrap.ralph.run import run_ralph
    from codetether_ray.cli.ralph_run import wish_of

    given, path = options_of(RUN, line.text.removeprefix("run ").strip())
    if path:
        given["prd"] = Path(path)
    if given["resume"] is None:
        given["model"] = given["model"] or repl.talk.model
    wish = wish_of(given)

    async def drive(job: Job, show: Show) -> dict[str, Any]:
        return await run_ralph(wish, show, amending(repl, job, is_given=given["yes"]), repl.say)

    follow(
        repl,
        drive,
        title=str(given["resume"] or given["prd"]),
        kind="ralph",
        lasts=not given["is_local"] and repl.would_last(given["address"]),
        in_background=line.in_background,
        max_time_s=given["max_time"],
    )


def amending(
    repl: "Repl", job: Job, *, is_given: bool
) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """Puts an amendment of a criterion to whoever sits at the prompt."""

    async def ask(question: dict[str, Any]) -> dict[str, Any]:
        from codetether_ray.cli.ralph_output import question_lines

        for text in question_lines(question):
            repl.tell(job, plain(text))
        if is_given:
            return {"approved": bool(question["new"])}
        try:
            return await _answer(repl, job, question)
        except DecisionNeededError as error:
            repl.tell(job, str(error), "yellow")
            return {"approved": False}

    return ask


async def _answer(repl: "Repl", job: Job, question: dict[str, Any]) -> dict[str, Any]:
    if question["new"]:
        asked = Question("Amend it?", (APPROVE, DENY), by=job.name, job=job.number)
        return {"approved": await repl.desk.put(asked) == APPROVE.word, "text": ""}
    wanted = "The criterion's new words? (nothing: it stays)"
    text = await repl.desk.put(Question(wanted, by=job.name, job=job.number))
    return {"approved": bool(text), "text": text}
