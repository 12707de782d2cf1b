"""One thread that writes: what waits while it commits shares its next commit."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from codetether_ray.stores.task_rules import Row

Saves = list[Row]
"""The records of one `save`."""
Call = Callable[[], Any]
"""Another change; it is a transaction of its own."""
Outcome = Any
"""What a work gave, or the exception that it failed with."""
Outcomes = list[tuple[Any, Outcome]]
"""With the tickets of whom they are for."""

_IDLE_S = 0.2


class TaskWriter:
    """Does works in the order they were put; saves that wait together are committed together.

    `deliver` is called in the thread, once for each commit, with tickets and outcomes.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Saves]], Sequence[Outcome]],
        deliver: Callable[[Outcomes], None],
        tidy: Callable[[], None],
    ) -> None:
        """`tidy` is called when nothing waits."""
        self._commit, self._deliver, self._tidy = commit, deliver, tidy
        self._works: queue.SimpleQueue[tuple[Any, Saves | Call] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tasks-writer", daemon=True)
        self._thread.start()

    def put(self, ticket: Any, work: Saves | Call) -> None:
        """Have something done; never waits."""
        self._works.put((ticket, work))

    def close(self) -> None:
        """Return once all that was put is done."""
        self._works.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open, is_tidy = True, True
        while is_open:
            try:
                batch = [self._works.get(timeout=None if is_tidy else _IDLE_S)]
            except queue.Empty:
                self._tidy()
                is_tidy = True
                continue
            while True:
                try:
                    batch.append(self._works.get_nowait())
                except queue.Empty:
                    break
            is_open, is_tidy = None not in batch, False
            self._do([work for work in batch if work is not None])

    def _do(self, batch: list[tuple[Any, Saves | Call]]) -> None:
        saves: list[tuple[Any, Saves]] = []
        for ticket, work in batch:
            if isinstance(work, list):
                saves.append((ticket, work))
                continue
            self._do_saves(saves)
            saves = []
            self._deliver([(ticket, outcome(work))])
        self._do_saves(saves)

    def _do_saves(self, saves: list[tuple[Any, Saves]]) -> None:
        if saves:
            outcomes = self._commit([work for _, work in saves])
            self._deliver([(t, o) for (t, _), o in zip(saves, outcomes, strict=True)])


def outcome(call: Call) -> Outcome:
    """What a call gives, or raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - handed to who waits for it
        return error
