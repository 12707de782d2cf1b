"""What is under way before this prompt: one piece of work in front, any number behind it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

Work = Callable[["Job"], Coroutine[Any, Any, None]]
"""Does a job; what it has to say it says itself."""


@dataclass(slots=True, eq=False)
class Job:
    """A turn or a run. It is cancelled cleanly once; the second time nobody waits for it."""

    number: int
    title: str
    kind: str = "session"
    lasts: bool = False
    """It lives on a head, and can go on without this process."""
    in_background: bool = False
    run_id: str = ""
    """Empty until it has begun."""
    status: Callable[[], str] = field(default=lambda: "")
    """Where it stands, on one line."""
    stops: int = 0
    """How often it was asked to end."""
    task: "asyncio.Task[None] | None" = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come from it."""
        return self.task is None or self.task.done()

    @property
    def name(self) -> str:
        """How people call it: its number, and its run once it has one."""
        return f"[{self.number}] {self.run_id or self.kind}"

    def stop(self) -> None:
        """Ask for its end: it gives up what it does, records how far it came, and returns."""
        self.stops += 1
        if self.task is not None:
            self.task.cancel()


class Jobs:
    """All jobs of this prompt, by number from 1."""

    def __init__(self, *, ended: Callable[[Job], None]) -> None:
        """`ended` is called with each job when it is over."""
        self._ended = ended
        self._all: dict[int, Job] = {}
        self._count = 0
        self._front: Job | None = None

    @property
    def front(self) -> Job | None:
        """The one in front, if it is under way."""
        return self._front

    @property
    def behind(self) -> tuple[Job, ...]:
        """Those in the background."""
        return tuple(job for job in self._all.values() if job is not self._front)

    @property
    def under_way(self) -> tuple[Job, ...]:
        """All that are not over, in order."""
        return tuple(self._all.values())

    def start(self, work: Work, title: str, *, in_background: bool = False, **about: Any) -> Job:
        """Begin a job. In front there is room for one."""
        assert in_background or self._front is None
        self._count += 1
        job = Job(self._count, title, in_background=in_background, **about)
        self._all[job.number] = job
        if not in_background:
            self._front = job
        job.task = asyncio.get_running_loop().create_task(self._done(work, job))
        return job

    def put_behind(self) -> Job | None:
        """Let the job in front go on in the background; which one that was."""
        job, self._front = self._front, None
        if job is not None:
            job.in_background = True
        return job

    def interrupt(self) -> Job | None:
        """Stop the job in front, never one behind it; at the second call it is not waited for."""
        job = self._front
        if job is not None:
            job.stop()
            if job.stops > 1:
                self._forget(job)
        return job

    def find(self, text: str) -> Job | None:
        """The job of that number or run id; without a text the only one there is."""
        said = text.strip().strip("[]")
        if not said:
            return next(iter(self._all.values())) if len(self._all) == 1 else None
        if said.isdigit():
            return self._all.get(int(said))
        return next((job for job in self._all.values() if job.run_id == said), None)

    def stop_all(self) -> None:
        """Ask every job to end."""
        for job in self.under_way:
            job.stop()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Until all are over."""
        tasks = {job.task for job in self.under_way if job.task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def _done(self, work: Work, job: Job) -> None:
        try:
            await work(job)
        finally:
            self._forget(job)

    def _forget(self, job: Job) -> None:
        if self._all.pop(job.number, None) is None:
            return
        if self._front is job:
            self._front = None
        self._ended(job)
