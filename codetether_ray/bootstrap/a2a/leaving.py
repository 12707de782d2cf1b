"""What a turn leaves, as artifacts of its task: as many as the task has room for.

A task that would hold too much fails; what is too large stays in the workspace, and is named.
"""

from collections.abc import Iterator

from a2a.types import Artifact, Part, Task

from codetether_ray.a2a.limits import Limits
from codetether_ray.bootstrap.a2a.workspaces import Yield

RESPONSE, PATCH = "response", "changes.patch"
PATCH_TYPE = "text/x-diff"
_SPARE = 10_000
"""Bytes for what surrounds the response's text."""


def fitting(left: Yield, task: Task, response: str) -> tuple[list[Artifact], tuple[str, ...]]:
    """The artifacts that fit into the task beside its response, and notes on what stays behind.

    Args:
        left: what the turn leaves.
        task: as the turn found it; of an artifact that comes anew the new one counts.
        response: the turn's answer.
    """
    sizes = {artifact.artifact_id: artifact.ByteSize() for artifact in task.artifacts}
    sizes[RESPONSE] = len(response.encode()) + _SPARE
    most = Limits().artifact_bytes
    fits, notes = [], list(left.notes)
    for artifact in _artifacts(left):
        size = artifact.ByteSize()
        if sum(sizes.values()) - sizes.get(artifact.artifact_id, 0) + size > most:
            notes.append(
                f"{artifact.name} stays in the workspace: with its {size} bytes the task would"
                f" hold more than {most}"
            )
            continue
        sizes[artifact.artifact_id] = size
        fits.append(artifact)
    return fits, tuple(notes)


def _artifacts(left: Yield) -> Iterator[Artifact]:
    for file in left.files:
        part = _content(file.content, file.name)
        yield Artifact(artifact_id=f"file-{file.name}", name=file.name, parts=[part])
    if left.patch:
        yield Artifact(
            artifact_id=PATCH,
            name=PATCH,
            description="All changes in the workspace since it was made, for `git apply`",
            parts=[_content(left.patch, PATCH, PATCH_TYPE)],
        )


def _content(content: bytes, name: str, media_type: str = "") -> Part:
    """A file's part: text where it is text."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        kind = media_type or "application/octet-stream"
        return Part(raw=content, filename=name, media_type=kind)
    if "\0" in text:
        kind = media_type or "application/octet-stream"
        return Part(raw=content, filename=name, media_type=kind)
    return Part(text=text, filename=name, media_type=media_type or "text/plain")
