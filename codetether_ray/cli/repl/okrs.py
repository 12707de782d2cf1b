"""`/okr`: objectives and their runs, as `codetether okr`."""

import asyncio
from typing import TYPE_CHECKING

from codetether_ray.cli.repl.lines import Line
from codetether_ray.cli.repl.listing import at_the_terminal, printed, words_of
from codetether_ray.cli.repl.relays import relay

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl
    from codetether_ray.core.okrs import Okr, OkrRun

GROUP = "codetether_ray.cli.okr:command"
PRINTING = ("list", "status", "runs", "export", "stats", "report", "deny", "cancel")
ASKING = ("create", "approve")
"""Commands that ask at the terminal."""


async def okr(repl: "Repl", line: Line) -> None:
    """`/okr [COMMAND]`; without one, the list."""
    first, _, rest = (line.text or "list").partition(" ")
    if first == "resume":
        await _resume(repl, rest, line)
    elif first in ASKING:
        await at_the_terminal(repl, GROUP, rest, first)
    else:
        await printed(repl, GROUP, rest, first)


async def _resume(repl: "Repl", text: str, line: Line) -> None:
    """Start an approved run, or go on with its relay, as a job of this prompt."""
    from codetether_ray.cli import okr_resume

    with okr_resume.command.make_context("/okr resume", words_of(text)) as context:
        given = dict(context.params)
    objective, run = await asyncio.to_thread(_found, given["id"], given["address"])
    task = f"{objective.title}\n\n{objective.description}".strip()
    more = " ".join(given["more"])
    if run.relay_id:
        text = f"--resume {run.relay_id} {more}"
        await relay(repl, Line(text=text, in_background=line.in_background), "go")
        return
    text = f"{more} -- {task}".strip()
    again = Line(text=text, in_background=line.in_background)
    await relay(repl, again, "go", okr_run_id=run.id)


def _found(named: str, address: str | None) -> tuple["Okr", "OkrRun"]:
    """The OKR and its run that can start or go on. It blocks.

    Raises:
        CodetetherError: there is none, or it may not go on.
    """
    from codetether_ray.cli import okr_options
    from codetether_ray.cli.okr_resume import run_of

    with okr_options.opened(address) as source:
        objective, run = run_of(source, named)
    return objective, run
