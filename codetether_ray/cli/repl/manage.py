"""Commands about the prompt itself: its session, its model, its jobs, its end."""

import asyncio
import os
from typing import TYPE_CHECKING

from codetether_ray.cli import words
from codetether_ray.cli.repl.jobs import Job
from codetether_ray.cli.repl.lines import Line
from codetether_ray.core.errors import UsageError
from codetether_ray.core.ids import is_run_id

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl


async def new(repl: "Repl", _: Line) -> None:
    """`/new`."""
    old = repl.talk.session_id
    repl.talk.session_id = None
    repl.talk.answered_by = ""
    back = f"; /resume {old} goes back" if old else ""
    repl.say(f"the next message begins a new session{back}")


async def model(repl: "Repl", line: Line) -> None:
    """`/model [REF]`.

    Raises:
        CodetetherError: there is no such provider, or no key for it.
    """
    from codetether_ray.bootstrap.models import choose
    from codetether_ray.config.settings import load_settings
    from codetether_ray.config.stores import open_secret_store

    directory = repl.talk.directory
    settings = load_settings(directory, os.environ)
    store = open_secret_store(os.environ, settings.paths.data)
    named = line.text or repl.talk.model or repl.talk.answered_by or None
    chosen = str(await choose(named, settings, store, directory))
    if line.text:
        repl.talk.model = chosen
    repl.say(f"the next message is answered by {chosen}")


async def cost(repl: "Repl", _: Line) -> None:
    """`/cost`."""
    for text in repl.tally.lines():
        repl.screen.line(text)


async def jobs(repl: "Repl", _: Line) -> None:
    """`/jobs`."""
    for job in repl.jobs.under_way:
        repl.screen.line(job_line(job, repl.jobs.front))
    for waiting in repl.queued:
        repl.screen.line(f"waits: {words.one_line(waiting, 80)}")
    if not repl.jobs.under_way:
        repl.screen.line("nothing is under way here")
    repl.desk.show()


def job_line(job: Job, front: Job | None) -> str:
    """`[1] swm_… (in front): add type hints · 3/5 subtasks done`."""
    where = " (in front)" if job is front else ""
    stopping = "stopping · " if job.stops else ""
    title = words.one_line(job.title, 50)
    return f"{job.name}{where}: {title} · {stopping}{words.one_line(job.status(), 100)}"


async def behind(repl: "Repl", _: Line) -> None:
    """`/bg`.

    Raises:
        UsageError: there is nothing that could go on behind.
    """
    job = repl.jobs.front
    if job is None:
        raise UsageError("nothing is in front")
    if job.kind == "session":
        raise UsageError("a turn of this session stays in front: the next message needs its answer")
    repl.jobs.put_behind()
    repl.say(f"{job.name} goes on in the background")
    repl.next_line()


async def cancel(repl: "Repl", line: Line) -> None:
    """`/cancel [JOB|ID]`: a job of this prompt, else a run that another process drives.

    Raises:
        UsageError: it is not clear which one is meant.
    """
    job = repl.jobs.find(line.text)
    if job is not None:
        job.stop()
        repl.say(f"{job.name} is asked to stop")
        return
    if is_run_id(line.text):
        from codetether_ray.cli.repl.listing import printed

        await printed(repl, "codetether_ray.cli.cancel:command", line.text)
        return
    if not repl.jobs.under_way:
        raise UsageError("nothing is under way here; /cancel ID stops a run of another process")
    names = ", ".join(f"/cancel {j.number}" for j in repl.jobs.under_way)
    raise UsageError(f"which one? {names}")


async def answer(repl: "Repl", _: Line) -> None:
    """`/answer`.

    Raises:
        UsageError: nobody asks anything.
    """
    if not repl.desk.waiting:
        raise UsageError("nobody asks anything")
    repl.desk.show()


async def help_(repl: "Repl", line: Line) -> None:
    """`/help [COMMAND]`."""
    from codetether_ray.cli.repl.help import help_lines

    for text in await asyncio.to_thread(help_lines, line.text.removeprefix("/")):
        repl.screen.line(text)


async def quit_(repl: "Repl", _: Line) -> None:
    """`/quit`."""
    await repl.leave()
