"""What goes wrong with tasks that workers claim."""

from codetether_ray.core.root_error import CodetetherError


class WorkStoreError(CodetetherError):
    """The platform's tasks cannot be read or written."""


class UnknownWorkError(CodetetherError):
    """There is no such task, or none that the asker may see."""

    exit_code = 2

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"Task {self.task_id} not found"


class UnknownWorkerError(CodetetherError):
    """No worker of that id has registered."""

    exit_code = 2

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id)
        self.worker_id = worker_id

    def __str__(self) -> str:
        return f"no worker {self.worker_id!r} has registered; register it first"


class WorkTakenError(CodetetherError):
    """A task is not the caller's: another has it, it is over, or its lease ran out."""

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(task_id, reason)
        self.task_id, self.reason = task_id, reason

    def __str__(self) -> str:
        return f"task {self.task_id} {self.reason}"
