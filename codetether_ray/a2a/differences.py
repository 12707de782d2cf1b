"""What is to be told to somebody who knows a task as it was."""

from collections.abc import Iterator

from a2a.types import Artifact, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent

from codetether_ray.a2a.draft import is_continued

Told = Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent


def difference(old: Task, new: Task) -> tuple[Told, ...]:
    """Updates that lead from one to the other; the whole task where no update can say it."""
    if not {a.artifact_id for a in old.artifacts} <= {a.artifact_id for a in new.artifacts}:
        whole = Task()
        whole.CopyFrom(new)
        return (whole,)
    return (*_artifacts(old, new), *_status(old, new))


def _artifacts(old: Task, new: Task) -> Iterator[TaskArtifactUpdateEvent]:
    known = {artifact.artifact_id: artifact for artifact in old.artifacts}
    for artifact in new.artifacts:
        before = known.get(artifact.artifact_id)
        if before == artifact:
            continue
        rest = None if before is None else _rest(before, artifact)
        yield TaskArtifactUpdateEvent(
            task_id=new.id,
            context_id=new.context_id,
            artifact=rest or artifact,
            append=rest is not None,
        )


def _status(old: Task, new: Task) -> Iterator[TaskStatusUpdateEvent]:
    if old.status != new.status:
        yield TaskStatusUpdateEvent(task_id=new.id, context_id=new.context_id, status=new.status)


def _rest(before: Artifact, after: Artifact) -> Artifact | None:
    """What was appended; None where something else was done."""
    count = len(before.parts)
    if _head(before) != _head(after) or len(after.parts) < count or not count:
        return None
    rest = Artifact(artifact_id=after.artifact_id)
    if any(before.parts[place] != after.parts[place] for place in range(count - 1)):
        return None
    last, now = before.parts[-1], after.parts[count - 1]
    if last != now:
        if not (is_continued(last, now) and now.text.startswith(last.text)):
            return None
        rest.parts.add().CopyFrom(now)
        rest.parts[0].text = now.text[len(last.text) :]
    rest.parts.extend(after.parts[count:])
    return rest


def _head(artifact: Artifact) -> Artifact:
    head = Artifact()
    head.CopyFrom(artifact)
    head.ClearField("parts")
    return head
