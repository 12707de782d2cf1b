"""Calls of actors, with answers and errors in this project's words."""

from collections.abc import Awaitable
from typing import Any, cast

from ray.exceptions import RayActorError, RayError, RayTaskError

from codetether_ray.core.errors import ClusterError, CodetetherError


async def ask(reference: object, whom: str) -> Any:
    """Wait for an actor's answer.

    Raises:
        CodetetherError: what the method raised, if it is one of ours.
        ClusterError: the actor `whom` is gone, or failed otherwise.
    """
    try:
        return await cast("Awaitable[Any]", reference)
    except RayError as error:
        raise translated(error, whom) from error


def translated(error: RayError, whom: str) -> CodetetherError:
    """A Ray error as one of ours."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        if isinstance(cause, CodetetherError):
            return cause
        return ClusterError(f"{whom} failed: {type(cause).__name__}: {cause}")
    return ClusterError(f"{whom} is gone: {reason(error)}")


def reason(error: BaseException) -> str:
    """Why an actor was lost, in one line, out of Ray's many."""
    text = str(error)
    for needle, sentence in _REASONS:
        if needle in text:
            return sentence
    if isinstance(error, RayActorError) and error.preempted:
        return "its node was preempted"
    line = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return line[:300]


_REASONS = (
    ("Task was killed due to the node running low on memory", "its node ran out of memory"),
    ("running low on memory", "its node ran out of memory"),
    ("OutOfMemory", "its node ran out of memory"),
    ("Out of memory", "its node ran out of memory"),
    ("SIGKILL", "its process was killed"),
    ("ray.kill", "it was ended"),
    ("node it was running on is dead", "its node died"),
    ("actor's node was preempted", "its node was preempted"),
    ("actor's node", "its node died"),
    ("its node has died", "its node died"),
    ("NodeAffinitySchedulingStrategy doesn't exist", "its node died"),
    ("owner has died", "its owner died"),
    ("The actor is dead because its owner", "its owner died"),
    ("out of disk", "its node is out of disk"),
    ("connection error code", "its process died"),
    ("Worker unexpectedly exits", "its process died"),
    ("The worker process", "its process died"),
    ("is unavailable:", "its process cannot be reached"),
)
