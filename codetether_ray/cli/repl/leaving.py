"""Leaving the prompt: what is under way is never ended without a word on it."""

import asyncio
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.resuming import resume_command
from codetether_ray.cli import words
from codetether_ray.cli.repl.questions import Choice, Question
from codetether_ray.core.errors import DecisionNeededError

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl
    from codetether_ray.cli.repl.jobs import Job

WAIT, CANCEL = Choice("w", "wait"), Choice("c", "cancel")
LEAVE, STAY = Choice("l", "leave"), Choice("s", "stay")
_PATIENCE_S = 60.0


async def leave(repl: "Repl") -> None:
    """Close the prompt, once it is decided what becomes of what is under way."""
    if not repl.jobs.under_way:
        repl.close()
        return
    lasts = all(repl.lasts(job) for job in repl.jobs.under_way)
    await _CARRY_OUT[await _decided(repl, lasts)](repl)


async def _decided(repl: "Repl", lasts: bool) -> str:
    count = words.plural(len(repl.jobs.under_way), "job")
    where = "it can go on without this prompt" if lasts else "it ends with this prompt"
    text = f"{count} under way; {where}. Wait, cancel (it can be resumed){', leave it' * lasts}?"
    choices = (WAIT, CANCEL, *((LEAVE,) if lasts else ()), STAY)
    question = Question(text, choices)
    repl.desk.set_aside()
    try:
        return await repl.desk.put(question)
    except DecisionNeededError:  # the input has ended: nobody will answer
        return (LEAVE if lasts else CANCEL).word


async def _wait(repl: "Repl") -> None:
    repl.leaves_when_done = True
    repl.say("leaving as soon as nothing is under way; a new line stays here")
    repl.leave_if_done()


async def cancel_all(repl: "Repl") -> None:
    """Stop what is under way, wait for its end, and close."""
    repl.jobs.stop_all()
    repl.stop_asking()
    await repl.jobs.wait(_PATIENCE_S)
    repl.close()


async def hang_up(repl: "Repl") -> None:
    """Nobody sits here any more: what lives on a head goes on there, all else is stopped."""
    repl.stop_asking()
    ending = [job for job in repl.jobs.under_way if not repl.lasts(job)]
    for job in ending:
        job.stop()
    tasks = [job.task for job in ending if job.task is not None]
    if tasks:
        await asyncio.wait(tasks, timeout=_PATIENCE_S)
    await _let_go(repl)


async def _let_go(repl: "Repl") -> None:
    repl.left_behind = tuple(follow_command(job) for job in repl.jobs.under_way if job.run_id)
    repl.close()


async def _stay(repl: "Repl") -> None:
    repl.desk.show()


def follow_command(job: "Job") -> str:
    """What a shell follows a run with that goes on on a head."""
    return resume_command(job.kind, job.run_id)


_CARRY_OUT = {
    WAIT.word: _wait,
    CANCEL.word: cancel_all,
    LEAVE.word: _let_go,
    STAY.word: _stay,
}
