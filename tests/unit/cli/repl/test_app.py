"""The prompt with keys from a pipe and an output that nobody sees."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from codetether_ray.cli.repl.app import Repl
from codetether_ray.cli.repl.jobs import Job
from codetether_ray.cli.repl.questions import APPROVE, DENY, Question
from codetether_ray.core.errors import CodetetherError, DecisionNeededError

CTRL_C, CTRL_D, ENTER, ALT_ENTER = "\x03", "\x04", "\r", "\x1b\r"
PASTE = "\x1b[200~{}\x1b[201~"


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


class Typed(Repl):
    """A prompt that keeps the messages it is given, and what it says; no turn is made of them."""

    def __init__(self, folder: Path, keys: PipeInput) -> None:
        super().__init__(folder, folder, input=keys, output=DummyOutput())
        self.messages: list[str] = []
        self.said: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.ends_with = 0

    async def _turn(self, job: Job, text: str) -> None:
        self.messages.append(text)
        await self.may_answer.wait()

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def tell(self, job: Job | None, text: str, colour: str = "") -> None:
        self.said.append(text)


@pytest.fixture
async def repl(tmp_path: Path, keys: PipeInput) -> AsyncIterator[Typed]:
    repl = Typed(tmp_path, keys)
    task = asyncio.create_task(repl.run())
    yield repl
    repl.may_answer.set()
    repl.jobs.stop_all()
    repl.close()
    assert await task == repl.ends_with


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


async def forever(_: Job) -> None:
    await asyncio.Event().wait()


async def test_enter_sends_and_a_backslash_alt_enter_and_a_paste_make_lines(
    repl: Typed, keys: PipeInput
) -> None:
    keys.send_text("one\\" + ENTER + "two" + ALT_ENTER + "three" + ENTER)
    keys.send_text(PASTE.format("four\r\nfive") + ENTER)
    await until(lambda: len(repl.messages) == 2)
    assert repl.messages == ["one\ntwo\nthree", "four\nfive"]


async def test_a_line_that_is_sent_while_a_turn_works_waits_for_it(
    repl: Typed, keys: PipeInput
) -> None:
    repl.may_answer.clear()
    keys.send_text("first" + ENTER + "second" + ENTER)
    await until(lambda: repl.queued)
    assert (repl.messages, repl.queued) == (["first"], ["second"])
    repl.may_answer.set()
    await until(lambda: len(repl.messages) == 2)


async def test_ctrl_c_clears_the_line_then_interrupts_what_is_in_front_alone(
    repl: Typed, keys: PipeInput
) -> None:
    repl.may_answer.clear()
    behind = repl.begin(forever, "behind", kind="swarm", in_background=True)
    keys.send_text("work" + ENTER + "half a line")
    await until(repl._is_typing)
    await until(lambda: repl.jobs.front)
    front = repl.jobs.front
    assert front is not None
    keys.send_text(CTRL_C)
    await until(lambda: not repl._is_typing())
    assert front.stops == 0
    keys.send_text(CTRL_C)
    await until(lambda: repl.jobs.front is None)
    assert front.stops == 1
    keys.send_text(CTRL_C)
    await until(lambda: any("nothing is in front" in text for text in repl.said))
    assert behind.stops == 0
    keys.send_text("/jobs" + ENTER)
    assert repl.jobs.under_way == (behind,)


async def test_a_question_takes_no_line_that_was_begun(repl: Typed, keys: PipeInput) -> None:
    keys.send_text("add ")
    await until(repl._is_typing)
    question = Question("Go?", (APPROVE, DENY), by="[1] swm", job=1)
    asked = asyncio.create_task(repl.desk.put(question))
    await asyncio.sleep(0)
    keys.send_text("tests" + ENTER)
    await until(lambda: repl.messages)
    assert repl.messages == ["add tests"]
    await until(lambda: repl.desk.current is question)
    keys.send_text("maybe" + ENTER + "d" + ENTER)
    assert await asked == "deny"
    assert repl.messages == ["add tests"]
    assert "an answer is a approve · d deny" in repl.said


async def test_ctrl_c_sets_a_question_from_behind_aside_and_the_end_of_input_answers_none(
    repl: Typed, keys: PipeInput
) -> None:
    job = repl.begin(forever, "behind", kind="swarm", in_background=True)
    question = Question("Go?", (APPROVE, DENY), by=job.name, job=job.number)
    asked = asyncio.create_task(repl.desk.put(question))
    await until(lambda: repl.desk.current is question)
    keys.send_text(CTRL_C)
    await until(lambda: repl.desk.current is None)
    assert job.stops == 0
    keys.send_text("/answer" + ENTER)
    await until(lambda: repl.desk.current is question)
    keys.send_text(CTRL_D)
    with pytest.raises(DecisionNeededError, match="nobody answered: Go"):
        await asked


async def test_leaving_asks_what_becomes_of_what_is_under_way(repl: Typed, keys: PipeInput) -> None:
    job = repl.begin(forever, "behind", kind="swarm", in_background=True)
    keys.send_text(CTRL_D)
    await until(lambda: repl.desk.current)
    current = repl.desk.current
    assert current is not None
    assert "1 job under way; it ends with this prompt" in current.text
    assert "leave" not in current.hint
    keys.send_text("w" + ENTER)
    await until(lambda: repl.leaves_when_done)
    job.stop()
    await until(repl._closed.is_set)


async def test_what_lives_on_a_head_can_be_left_there(repl: Typed, keys: PipeInput) -> None:
    job = repl.begin(forever, "behind", kind="swarm", in_background=True, lasts=True)
    job.run_id = "swm_00mws4k4xr_686d8be8"
    keys.send_text("/quit" + ENTER)
    await until(lambda: repl.desk.current)
    keys.send_text("l" + ENTER)
    await until(repl._closed.is_set)
    assert repl.left_behind == ("codetether swarm --resume swm_00mws4k4xr_686d8be8",)
    assert job.stops == 0


async def test_who_hangs_up_leaves_on_a_head_what_lives_there_and_ends_the_rest(
    repl: Typed, keys: PipeInput
) -> None:
    there = repl.begin(forever, "there", kind="swarm", in_background=True, lasts=True)
    there.run_id = "swm_00mws4k4xr_686d8be8"
    here = repl.begin(forever, "here", kind="swarm", in_background=True)
    repl.end(is_hung_up=True)
    repl.end(is_hung_up=True)
    await until(repl._closed.is_set)
    assert (there.stops, here.stops) == (0, 1)
    assert repl.left_behind == ("codetether swarm --resume swm_00mws4k4xr_686d8be8",)
    repl.ends_with = 130


async def test_an_unknown_command_and_a_fault_are_sentences(repl: Typed, keys: PipeInput) -> None:
    async def fault(_: Job) -> None:
        raise CodetetherError("it broke")

    keys.send_text("/swram x" + ENTER)
    await until(lambda: repl.said)
    assert repl.said == ["there is no command /swram; is /swarm meant? (/help lists them)"]
    repl.begin(fault, "faulty")
    await until(lambda: "it broke" in repl.said)
    keys.send_text("/swarm --strategy nonsense x" + ENTER)
    await until(lambda: any("'nonsense' is not one of" in text for text in repl.said))
    keys.send_text("/swarm" + ENTER)
    await until(lambda: any("needs a task" in text for text in repl.said))
