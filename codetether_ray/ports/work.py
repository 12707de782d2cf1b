"""The platform's tasks: who asks for them, who does them, and where they are kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import (
    Changes,
    Ended,
    Heard,
    Held,
    Output,
    Worker,
    WorkStatus,
    WorkTask,
    WorkWish,
)

T = TypeVar("T")


class WorkTables(Protocol):
    """What is stored, within one transaction. Its methods block."""

    def add(self, task: WorkTask) -> None:
        """Store a new task.

        Raises:
            WorkTakenError: there is one of that id.
        """
        ...

    def task(self, task_id: str) -> WorkTask:
        """One task.

        Raises:
            UnknownWorkError: there is none of that id.
        """
        ...

    def asked_by(self, source: str, event: str) -> str | None:
        """The id of the task that an event asked for or meant; None if it is new."""
        ...

    def note_event(self, source: str, event: str, task_id: str) -> None:
        """Remember that an event was done."""
        ...

    def put(self, task: WorkTask) -> None:
        """Store a task as it is now."""
        ...

    def offered(self, tenant: str) -> Iterator[WorkTask]:
        """The pending tasks of a tenant, first things first."""
        ...

    def held(self, worker_id: str) -> tuple[WorkTask, ...]:
        """The running tasks of a worker."""
        ...

    def overdue(self, now: float) -> tuple[WorkTask, ...]:
        """Running tasks whose lease has run out."""
        ...

    def listed(
        self,
        owner: str | None,
        status: WorkStatus | None,
        limit: int,
        before: str | None,
        tenant: str | None = None,
    ) -> tuple[WorkTask, ...]:
        """Tasks of an owner and of a tenant (None: all), newest first, those older than the task
        `before`."""
        ...

    def worker(self, worker_id: str) -> Worker:
        """One worker.

        Raises:
            UnknownWorkerError: there is none of that id.
        """
        ...

    def put_worker(self, worker: Worker) -> None:
        """Store a worker as it is now."""
        ...

    def workers(self, tenant: str | None, since: float) -> tuple[Worker, ...]:
        """Those of a tenant (None: all) that were heard of since."""
        ...

    def append(self, task_id: str, lease: int, first: int | None, texts: Sequence[str]) -> int:
        """Store output; see `Platform.output`. Returns the number that is expected next."""
        ...

    def outputs(self, task_id: str, after: int, limit: int) -> tuple[Output, ...]:
        """Pieces of output behind number `after`, in order."""
        ...

    def forget(self, before: float, limit: int) -> int:
        """Remove tasks that ended before then, with all that is of them; how many there were."""
        ...

    def note(self, kind: str, task: WorkTask) -> None:
        """Note a change that workers should know."""
        ...

    def changes(self, after: int, limit: int) -> Changes:
        """What was noted behind number `after`, each with its task as it is now."""
        ...

    def change_range(self) -> tuple[int, int]:
        """Numbers of the oldest change that is kept and of the newest; both 0 before the first."""
        ...


class WorkStore(Protocol):
    """Keeps the tasks."""

    async def do(self, work: Callable[[WorkTables], T]) -> T:
        """Do some work on the tables, all or nothing; it is on disk when this returns.

        What waits at once shares a transaction; what one raises undoes that one alone.

        Raises:
            WorkStoreError: the store cannot be used.
        """
        ...

    async def close(self) -> None:
        """Finish what waits, and let go."""
        ...


class Platform(Protocol):
    """The platform's side of the workers' protocol, and of those who ask for tasks.

    Who asks sees what is theirs: tasks of another owner (or, for workers, another tenant) are not
    there. `sees_all`: the policy lets the caller see everybody's; of the caller's tenant, if any.
    """

    async def create(self, asker: Principal, wish: WorkWish) -> WorkTask:
        """A new task; the one that is there already for the same event.

        Raises:
            WorkTakenError: there is another task of the id that was chosen.
        """
        ...

    async def task(self, asker: Principal, task_id: str, *, sees_all: bool = False) -> WorkTask:
        """One task.

        Raises:
            UnknownWorkError: there is none that the asker may see.
        """
        ...

    async def tasks(
        self,
        asker: Principal,
        *,
        status: WorkStatus | None = None,
        limit: int = 100,
        before: str | None = None,
        sees_all: bool = False,
    ) -> tuple[WorkTask, ...]:
        """Tasks, newest first."""
        ...

    async def cancel(
        self,
        asker: Principal,
        task_id: str,
        *,
        source: str = "",
        event: str = "",
        sees_all: bool = False,
    ) -> WorkTask:
        """Ask for a task's end: at once where nobody has it, else its worker is told.

        Raises:
            UnknownWorkError: there is none that the asker may see.
        """
        ...

    async def outputs(
        self,
        asker: Principal,
        task_id: str,
        *,
        after: int = 0,
        wait_s: float = 0.0,
        sees_all: bool = False,
    ) -> tuple[tuple[Output, ...], bool]:
        """Output behind number `after`, and whether that is all there will be.

        Waits up to `wait_s` for some.
        """
        ...

    async def register(self, asker: Principal, worker: Worker) -> Worker:
        """A worker is there; again where it was known.

        Raises:
            WorkTakenError: the id is a worker's of another principal.
        """
        ...

    async def workers(self, asker: Principal, *, sees_all: bool = False) -> tuple[Worker, ...]:
        """The workers of the asker's tenant that were heard of lately."""
        ...

    async def pending(self, asker: Principal, worker_id: str = "") -> tuple[WorkTask, ...]:
        """What waits, first things first: for that worker, or for any of the tenant.

        Raises:
            UnknownWorkerError: it has not registered.
        """
        ...

    async def claim(self, asker: Principal, worker_id: str, task_id: str) -> WorkTask:
        """The task is that worker's alone, until its lease runs out.

        Raises:
            WorkTakenError: it is not to be had by that worker.
            UnknownWorkError: there is none that the worker may see.
            UnknownWorkerError: it has not registered.
        """
        ...

    async def output(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        texts: Sequence[str],
        *,
        first: int | None = None,
        lease: int | None = None,
    ) -> int:
        """Keep what was printed. Returns the sequence number that is expected next.

        Args:
            asker: who asks.
            worker_id: the holder.
            task_id: the task.
            texts: pieces, in order.
            first: the sequence number of the first of them within the lease, from 0; those that
                are there already are left out. None: whatever comes next.
            lease: its number; None: the worker does not know of numbers.

        Raises:
            WorkTakenError: the task is not that worker's, or pieces before `first` are missing.
        """
        ...

    async def release(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        ended: Ended,
        *,
        lease: int | None = None,
    ) -> WorkTask:
        """The worker is done with a task. The same words again change nothing.

        Raises:
            WorkTakenError: the task is not that worker's.
        """
        ...

    async def heartbeat(
        self,
        asker: Principal,
        worker_id: str,
        *,
        status: str = "idle",
        active: int = 0,
        held: Sequence[Held] | None = None,
        cognition: JsonObject | None = None,
    ) -> Heard:
        """A worker lives; what it holds is renewed (None: everything that it has).

        Raises:
            UnknownWorkerError: it has not registered.
        """
        ...

    async def changes(
        self, asker: Principal, worker_id: str, *, after: int | None = None, wait_s: float = 0.0
    ) -> Changes:
        """What the worker should know that happened behind number `after`.

        None: everything that waits for it now. Waits up to `wait_s` for something.

        Raises:
            UnknownWorkerError: it has not registered.
        """
        ...

    async def is_ready(self) -> bool:
        """Whether the tasks can be read."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...
