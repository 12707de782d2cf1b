"""Runs threads in every order of their steps.

A thread that calls `Turns.step` waits until it is chosen; what it does until its next step is one
step. `every_order` runs the same scene again and again, once for each order.
"""

import threading
from collections.abc import Callable, Iterator, Mapping

_STUCK_S = 60.0


class _Runner:
    """One thread of a scene."""

    def __init__(self, name: str, work: Callable[[], None], turns: "Turns") -> None:
        self.go, self.arrived = threading.Semaphore(0), threading.Semaphore(0)
        self.is_done = False
        self.error: BaseException | None = None
        self._work, self._turns = work, turns
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self._turns.enter(self)
        self.go.acquire()
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the scene asks for it
            self.error = error
        finally:
            self.is_done = True
            self.arrived.release()

    def advance(self) -> None:
        """Let it do one step."""
        self.go.release()
        assert self.arrived.acquire(timeout=_STUCK_S), f"{self.thread.name} is stuck"


class Turns:
    """Whose turn it is."""

    def __init__(self) -> None:
        self._mine = threading.local()

    def enter(self, runner: _Runner) -> None:
        """This thread is `runner`'s."""
        self._mine.runner = runner

    def step(self) -> None:
        """A place where another thread may go first; nothing in a thread of no scene."""
        runner: _Runner | None = getattr(self._mine, "runner", None)
        if runner is not None:
            runner.arrived.release()
            runner.go.acquire()

    def play(self, works: Mapping[str, Callable[[], None]], order: list[str]) -> list[list[str]]:
        """Do the steps in `order`, then the rest thread by thread; what could be chosen when.

        `order` is made whole: it ends as the order that was played.

        Raises:
            BaseException: what a thread raised.
        """
        runners = {name: _Runner(name, work, self) for name, work in works.items()}
        choices: list[list[str]] = []
        while open_now := [name for name, runner in runners.items() if not runner.is_done]:
            if len(choices) == len(order):
                order.append(open_now[0])
            choices.append(open_now)
            runners[order[len(choices) - 1]].advance()
        for runner in runners.values():
            runner.thread.join()
            if runner.error is not None:
                raise runner.error
        return choices


def every_order(play: Callable[[list[str]], list[list[str]]]) -> Iterator[tuple[str, ...]]:
    """Play a scene in every order of its steps; each order as it was played.

    `play` is given how to begin, completes it in place, and returns what could be chosen when.
    """
    order: list[str] = []
    while True:
        choices = play(order)
        yield tuple(order)
        while order:
            last, open_then = order.pop(), choices[len(order)]
            others = open_then[open_then.index(last) + 1 :]
            if others:
                order.append(others[0])
                break
        if not order:
            return
