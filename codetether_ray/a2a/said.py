"""What a task or a message of another agent says, as plain text within bounds."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from a2a.types import Artifact, Message, Part, StreamResponse, Task, TaskState, TaskStatus
from google.protobuf.json_format import MessageToJson

ANSWERED = "answered"
"""The state of what was answered by a message, without a task."""


def state_word(state: int) -> str:
    """`completed`, `input_required`: a state without its prefix, in small letters."""
    try:
        name: str = TaskState.Name(state)
    except ValueError:
        return "unknown"
    return name.removeprefix("TASK_STATE_").lower()


def text_of(parts: Iterable[Part]) -> str:
    """Texts as they are; what is no text is named."""
    return "\n".join(filter(None, map(_part, parts)))


def _part(part: Part) -> str:
    kind = part.WhichOneof("content")
    if kind == "text":
        return str(part.text)
    if kind == "data":
        return str(MessageToJson(part.data, indent=None))
    name = part.filename or "a file"
    media = f" ({part.media_type})" if part.media_type else ""
    if kind == "url":
        return f"[{name}{media} at {part.url}]"
    if kind == "raw":
        return f"[{name}{media}, {len(part.raw)} bytes]"
    return ""


@dataclass(slots=True)
class Said:
    """What is known of an answer, as updates come."""

    state: str = ""
    task_id: str = ""
    context_id: str = ""
    words: str = ""
    """Of the last status or message."""
    artifacts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name and text, by id, in the order in which they came."""

    @property
    def text(self) -> str:
        """Artifacts in their order, then the words of the last status, where they say more."""
        found = list(self.artifacts.values())
        pieces = [
            text if len(found) == 1 or name in ("", "response") else f"{name}:\n{text}"
            for name, text in found
            if text
        ]
        if self.words and self.words not in pieces:
            pieces.append(self.words)
        return "\n\n".join(pieces)

    def take(self, event: StreamResponse) -> str:
        """Note an update; the text that it adds to an artifact or is a message."""
        kind = event.WhichOneof("payload")
        if kind == "task":
            self.take_task(event.task)
        elif kind == "message":
            return self._take_message(event.message)
        elif kind == "status_update":
            self._take_ids(event.status_update.task_id, event.status_update.context_id)
            self._take_status(event.status_update.status)
        elif kind == "artifact_update":
            update = event.artifact_update
            self._take_ids(update.task_id, update.context_id)
            return self._take_artifact(update.artifact, appends=update.append)
        return ""

    def take_task(self, task: Task) -> None:
        """Note a task as it is."""
        self._take_ids(task.id, task.context_id)
        for artifact in task.artifacts:
            self._take_artifact(artifact, appends=False)
        self._take_status(task.status)

    def _take_message(self, message: Message) -> str:
        self.state = ANSWERED
        self._take_ids(message.task_id, message.context_id)
        self.words = text_of(message.parts)
        return self.words

    def _take_status(self, status: TaskStatus) -> None:
        self.state = state_word(status.state)
        self.words = text_of(status.message.parts)

    def _take_artifact(self, artifact: Artifact, *, appends: bool) -> str:
        name, before = self.artifacts.get(artifact.artifact_id, (artifact.name, ""))
        added = text_of(artifact.parts)
        self.artifacts[artifact.artifact_id] = (name, before + added if appends else added)
        return added

    def _take_ids(self, task_id: str, context_id: str) -> None:
        self.task_id = task_id or self.task_id
        self.context_id = context_id or self.context_id
