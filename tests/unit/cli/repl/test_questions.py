"""Questions at the prompt: one at a time, never in the middle of a line."""

import asyncio

import pytest

from codetether_ray.cli.repl.questions import APPROVE, DENY, EDIT, Desk, Question
from codetether_ray.core.errors import DecisionNeededError


class Prompt:
    """A prompt in which a line may be begun."""

    def __init__(self) -> None:
        self.is_typing = False
        self.drawn = 0
        self.desk = Desk(is_typing=lambda: self.is_typing, changed=self.draw)

    def draw(self) -> None:
        self.drawn += 1

    async def asked(self, text: str = "Go?") -> tuple[Question, "asyncio.Task[str]"]:
        question = Question(text, (APPROVE, DENY, EDIT))
        task = asyncio.create_task(self.desk.put(question))
        await asyncio.sleep(0)
        return question, task


@pytest.mark.parametrize(
    ("typed", "word"),
    [("a", "approve"), ("Approve ", "approve"), ("y", "approve"), ("no", "deny"), ("e", "edit")],
)
async def test_an_answer_is_a_key_or_a_word(typed: str, word: str) -> None:
    prompt = Prompt()
    _, task = await prompt.asked()
    assert prompt.desk.take(typed)
    assert await task == word
    assert prompt.desk.current is None


async def test_what_is_no_answer_is_not_taken() -> None:
    prompt = Prompt()
    question, task = await prompt.asked()
    assert not prompt.desk.take("add a test")
    assert prompt.desk.current is question
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert prompt.desk.waiting == ()


async def test_a_question_waits_until_the_line_that_is_begun_is_done() -> None:
    prompt = Prompt()
    prompt.is_typing = True
    question, task = await prompt.asked()
    assert prompt.desk.current is None
    assert prompt.desk.waiting == (question,)
    assert prompt.drawn
    prompt.desk.show()
    assert prompt.desk.take("a")
    assert await task == "approve"


async def test_questions_are_shown_in_the_order_in_which_they_came() -> None:
    prompt = Prompt()
    first, one = await prompt.asked("First?")
    second, two = await prompt.asked("Second?")
    assert prompt.desk.current is first
    prompt.desk.take("a")
    assert await one == "approve"
    assert prompt.desk.current is second
    prompt.desk.take("d")
    assert await two == "deny"


async def test_who_asks_and_is_cancelled_takes_the_question_back() -> None:
    prompt = Prompt()
    _, task = await prompt.asked()
    other, still = await prompt.asked("Other?")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert prompt.desk.current is other
    prompt.desk.set_aside()
    assert prompt.desk.current is None
    assert not still.done()
    prompt.desk.show()
    prompt.desk.end_of_input()
    with pytest.raises(DecisionNeededError, match="nobody answered: Other"):
        await still


async def test_without_choices_any_text_is_the_answer() -> None:
    prompt = Prompt()
    task = asyncio.create_task(prompt.desk.put(Question("The new intent?")))
    await asyncio.sleep(0)
    assert prompt.desk.take(" another one ")
    assert await task == "another one"
