"""A task as its updates make it.

Text that arrives in deltas is merged: pieces are gathered and joined when somebody reads the task,
so that a long answer costs its length and not its square.
"""

from collections.abc import Callable

from a2a.types import (
    Artifact,
    InvalidAgentResponseError,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskStatus,
    TaskStatusUpdateEvent,
)

from codetether_ray.a2a.history import trim
from codetether_ray.a2a.limits import Limits
from codetether_ray.a2a.states import NAMES, RESTING

_LEFT_BEHIND = 16_384
"""Bytes of earlier states that a task may keep, however small it is."""


class Draft:
    """Owns its task. An update that does not fit is refused, and changes nothing."""

    def __init__(
        self, task: Task, limits: Limits, now: Callable[[], float], *, is_told_anew: bool = False
    ) -> None:
        self._task = task
        self._limits = limits
        self._now = now
        self._tails: dict[str, list[str]] = {}
        """Of artifacts: text that follows the last part's."""
        self._places: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._left_behind = 0
        self._heard = sum(message.ByteSize() for message in task.history)
        """Bytes of the history."""
        self._look_up()
        self._old = set(self._places) if is_told_anew else set()
        """Artifacts to be replaced by what is told of them first."""

    @property
    def task(self) -> Task:
        """The task as it is now: ours, not to be kept nor changed."""
        for artifact_id in tuple(self._tails):
            self._join(artifact_id)
        self._renew()
        return self._task

    @property
    def id(self) -> str:
        """The task's."""
        return self._task.id

    @property
    def context_id(self) -> str:
        """The task's."""
        return self._task.context_id

    @property
    def state(self) -> int:
        """The task's, by the protocol's number."""
        return self._task.status.state

    @property
    def is_resting(self) -> bool:
        """Whether it has ended or waits."""
        return self._task.status.state in RESTING

    def snapshot(self) -> Task:
        """A copy of the task as it is now."""
        copy = Task()
        copy.CopyFrom(self.task)
        return copy

    def status(self, state: int, text: str = "", message_id: str = "") -> TaskStatusUpdateEvent:
        """A status of this task, which is not taken yet."""
        update = TaskStatusUpdateEvent(task_id=self.id, context_id=self.context_id)
        update.status.state = state  # type: ignore[assignment]  # the stub wants the enum's class
        if text:
            message = Message(
                message_id=message_id or f"{self.id}-{NAMES[state]}",
                role=Role.ROLE_AGENT,
                parts=[Part(text=text)],
            )
            update.status.message.CopyFrom(message)
        return update

    def take(self, update: Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent) -> None:
        """Change the task, and fill in what the update leaves open.

        Raises:
            InvalidAgentResponseError: it is another task's, or no update of a task.
        """
        if isinstance(update, TaskStatusUpdateEvent):
            self._address(update)
            self._take_status(update.status)
            self._fit()
            if update.HasField("metadata"):
                self._task.metadata.MergeFrom(update.metadata)
        elif isinstance(update, TaskArtifactUpdateEvent):
            self._address(update)
            self._take_artifact(update)
            self._fit()
        else:
            self._take_whole(update)

    def hear(self, message: Message) -> None:
        """Add what the client says to the history."""
        self._keep_status_message()
        self._keep(message)
        self._fit()

    def _address(self, update: TaskStatusUpdateEvent | TaskArtifactUpdateEvent) -> None:
        if not update.task_id:
            update.task_id = self.id
        if not update.context_id:
            update.context_id = self.context_id
        if update.task_id != self.id or update.context_id != self.context_id:
            raise InvalidAgentResponseError(
                f"the agent told something of task {update.task_id}; it works on {self.id}"
            )

    def _take_status(self, status: TaskStatus) -> None:
        if status.state not in NAMES:
            raise InvalidAgentResponseError(f"the agent told an unknown state: {status.state}")
        self._stamp(status)
        if status.HasField("message"):
            self._sign(status.message)
        self._keep_status_message()
        self._task.status.CopyFrom(status)
        self._left_behind += status.ByteSize()

    def _stamp(self, status: TaskStatus) -> None:
        if not status.HasField("timestamp"):
            milliseconds = round(self._now() * 1000)
            status.timestamp.seconds = milliseconds // 1000
            status.timestamp.nanos = milliseconds % 1000 * 1_000_000

    def _sign(self, message: Message) -> None:
        message.role = message.role or Role.ROLE_AGENT
        message.task_id = self.id
        message.context_id = self.context_id
        if not message.message_id:
            message.message_id = f"{self.id}-{len(self._task.history) + 1}"

    def _keep_status_message(self) -> None:
        """A status' message goes into the history when something follows it."""
        status = self._task.status
        if status.HasField("message"):
            self._keep(status.message)
            status.ClearField("message")

    def _keep(self, message: Message) -> None:
        self._task.history.append(message)
        self._heard += message.ByteSize()

    def _fit(self) -> None:
        """Let old messages go where they are too many, or the task too large to be told whole."""
        limits, task = self._limits, self._task
        room = limits.task_bytes - sum(self._sizes.values()) - task.status.ByteSize()
        if self._heard > room or len(task.history) > limits.history:
            before = self._heard
            self._heard = trim(task.history, limits.history, room)
            self._left_behind += before - self._heard

    def _take_whole(self, update: Task) -> None:
        if update.id != self.id or update.context_id not in ("", self.context_id):
            raise InvalidAgentResponseError(
                f"the agent told task {update.id}; it works on {self.id}"
            )
        if update.status.state not in NAMES:
            raise InvalidAgentResponseError(
                f"the agent told an unknown state: {update.status.state}"
            )
        self._weigh(sum(a.ByteSize() for a in update.artifacts) - sum(self._sizes.values()))
        update.context_id = self.context_id
        self._stamp(update.status)
        if not update.history:
            update.history.extend(self._task.history)
        self._tails.clear()
        self._task.CopyFrom(update)
        self._heard = sum(message.ByteSize() for message in self._task.history)
        self._old.clear()
        self._look_up()
        self._fit()

    def _look_up(self) -> None:
        self._places = {a.artifact_id: place for place, a in enumerate(self._task.artifacts)}
        self._sizes = {a.artifact_id: a.ByteSize() for a in self._task.artifacts}

    def _weigh(self, more: int) -> None:
        if sum(self._sizes.values()) + more > self._limits.artifact_bytes:
            raise InvalidAgentResponseError(
                f"the task's artifacts are larger than {self._limits.artifact_bytes} bytes"
                " together; let the agent write files and tell where they are"
            )

    def _take_artifact(self, update: TaskArtifactUpdateEvent) -> None:
        artifact = update.artifact
        name = artifact.artifact_id
        if not name:
            raise InvalidAgentResponseError("the agent told an artifact without an id")
        update.append = update.append and name in self._places and name not in self._old
        size = artifact.ByteSize()
        if update.append:
            self._weigh(size)
            self._sizes[name] += size
            self._append(artifact)
            return
        self._weigh(size - self._sizes.get(name, 0))
        self._old.discard(name)
        self._sizes[name] = size
        self._replace(artifact)

    def _replace(self, artifact: Artifact) -> None:
        name = artifact.artifact_id
        self._tails.pop(name, None)
        place = self._places.setdefault(name, len(self._task.artifacts))
        if place == len(self._task.artifacts):
            self._task.artifacts.append(artifact)
        else:
            self._task.artifacts[place].CopyFrom(artifact)

    def _append(self, artifact: Artifact) -> None:
        name = artifact.artifact_id
        stored = self._task.artifacts[self._places[name]]
        for part in artifact.parts:
            if stored.parts and is_continued(stored.parts[-1], part):
                self._tails.setdefault(name, []).append(part.text)
            else:
                self._join(name)
                stored.parts.append(part)
        if artifact.name not in ("", stored.name):
            stored.name = artifact.name
        if artifact.description not in ("", stored.description):
            stored.description = artifact.description
        if artifact.HasField("metadata"):
            stored.metadata.MergeFrom(artifact.metadata)
        stored.extensions.extend(e for e in artifact.extensions if e not in stored.extensions)

    def _join(self, name: str) -> None:
        tail = self._tails.pop(name, None)
        if tail:
            part = self._task.artifacts[self._places[name]].parts[-1]
            part.text += "".join(tail)
            self._left_behind += part.ByteSize()

    def _renew(self) -> None:
        """Let go of what the task was before.

        A protobuf message keeps the memory of each text that it ever held until it goes itself.
        """
        if self._left_behind > max(_LEFT_BEHIND, self._task.ByteSize()):
            task = Task()
            task.CopyFrom(self._task)
            self._task, self._left_behind = task, 0


def is_continued(part: Part, following: Part) -> bool:
    """Whether two parts are one text."""
    return (
        part.WhichOneof("content") == "text" == following.WhichOneof("content")
        and part.media_type == following.media_type
        and part.filename == following.filename
        and not part.HasField("metadata")
        and not following.HasField("metadata")
    )
