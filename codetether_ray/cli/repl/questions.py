"""Questions that runs put to whoever sits before the prompt, one at a time, in order.

A question never takes what is being typed: one that comes while a line is begun waits until that
line is entered or cleared.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from codetether_ray.core.errors import DecisionNeededError


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its key, and the word that says what it does."""

    key: str
    word: str


APPROVE, DENY, EDIT = Choice("a", "approve"), Choice("d", "deny"), Choice("e", "edit")
_MEANT = {"y": "approve", "yes": "approve", "n": "deny", "no": "deny"}


@dataclass(slots=True, eq=False)
class Question:
    """What is asked, and by whom. Without choices any text is an answer."""

    text: str
    choices: Sequence[Choice] = ()
    default: str = ""
    """What stands in the line already, where a text is asked for."""
    by: str = ""
    """The run that asks; empty for the program itself."""
    job: int = 0
    answer: "asyncio.Future[str]" = field(default_factory=lambda: _future())

    def read(self, typed: str) -> str | None:
        """The word of the choice that was typed, or the text; None where it is no answer."""
        said = typed.strip()
        if not self.choices:
            return said
        low = said.lower()
        words = {c.word for c in self.choices}
        for choice in self.choices:
            if low in (choice.key, choice.word):
                return choice.word
        meant = _MEANT.get(low)
        return meant if meant in words else None

    @property
    def hint(self) -> str:
        """`a approve · d deny`."""
        return " · ".join(f"{c.key} {c.word}" for c in self.choices)


def _future() -> "asyncio.Future[str]":
    return asyncio.get_running_loop().create_future()


class Desk:
    """The questions that wait. `current` is the one that the prompt shows."""

    def __init__(self, *, is_typing: Callable[[], bool], changed: Callable[[], None]) -> None:
        """`is_typing` tells whether a line is begun; `changed` is called when `current` changed."""
        self._is_typing = is_typing
        self._changed = changed
        self._waiting: list[Question] = []
        self.current: Question | None = None

    @property
    def waiting(self) -> tuple[Question, ...]:
        """All that have no answer yet, in the order in which they came."""
        return tuple(self._waiting)

    async def put(self, question: Question) -> str:
        """The answer; a question whose asker is cancelled is taken back.

        Raises:
            DecisionNeededError: nobody will answer: the prompt's input ended there.
        """
        self._waiting.append(question)
        if not self._is_typing():
            self.show()
        self._changed()
        try:
            return await question.answer
        finally:
            self._waiting.remove(question)
            if self.current is question:
                self.current = None
                self.show()
            self._changed()

    def show(self) -> None:
        """Show the next question, where none is shown."""
        if self.current is None and self._waiting:
            self.current = next((q for q in self._waiting if not q.answer.done()), None)
            self._changed()

    def set_aside(self) -> None:
        """Show no question until `show` is called; the asker goes on waiting."""
        self.current = None
        self._changed()

    def take(self, typed: str) -> bool:
        """Answer the current question; whether what was typed is an answer to it."""
        question = self.current
        word = None if question is None else question.read(typed)
        if question is None or word is None:
            return False
        if not question.answer.done():
            question.answer.set_result(word)
        return True

    def end_of_input(self) -> None:
        """Nobody answers the current question."""
        if self.current is not None and not self.current.answer.done():
            self.current.answer.set_exception(
                DecisionNeededError(f"nobody answered: {self.current.text}")
            )
