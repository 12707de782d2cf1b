"""Ctrl-C, SIGTERM and --max-time."""

import asyncio
import os
import signal
import subprocess
import sys

import click
import pytest

from codetether_ray.cli.signals import Stopper


async def test_work_that_ends_by_itself_is_not_touched() -> None:
    async def work() -> int:
        return 7

    said: list[str] = []
    stopper: Stopper[int] = Stopper(said.append, max_time_s=60)
    assert await stopper.run(work()) == 7
    assert (stopper.reason, said, stopper.exit_code(0)) == ("", [], 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_cancels_and_the_work_may_still_answer(
    number: signal.Signals,
) -> None:
    async def work() -> str:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "tidied"
        return "never"

    said: list[str] = []
    stopper: Stopper[str] = Stopper(said.append)
    assert await stopper.run(work()) == "tidied"
    assert stopper.exit_code(0) == 130
    assert said == ["stopping; once more ends at once"]


async def test_the_end_of_max_time_cancels_and_ends_with_124() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    said: list[str] = []
    stopper: Stopper[None] = Stopper(said.append, max_time_s=0.01)
    with pytest.raises(click.exceptions.Exit) as ended:
        await stopper.run(work())
    assert ended.value.exit_code == 124
    assert said == [
        "--max-time of 0.01 s is over; stopping",
        "stopped before anything had begun",
    ]


def test_the_second_signal_ends_the_process_at_once_and_says_how_to_go_on() -> None:
    code = """
import asyncio, os, signal
from codetether_ray.cli.signals import Stopper
from codetether_ray.core.events import Record, RunStarted
from codetether_ray.core.spec import Correlation
stopper = Stopper(lambda sentence: print(sentence, flush=True))
async def work():
    began = RunStarted(kind="swarm", title="", directory="/", model="m")
    stopper.saw(Record(seq=0, time=0.0, agent="run", correlation=Correlation(run_id="swm_1"),
                       event=began))
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.Event().wait()
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)
asyncio.run(stopper.run(work()))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert done.stdout.splitlines()[1].endswith("go on with: codetether swarm --resume swm_1")
