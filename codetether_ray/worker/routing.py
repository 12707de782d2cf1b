"""Which worker may have which task."""

from codetether_ray.core.work import SWARM, SWARM_KINDS, Worker, WorkWish


def unfit(worker: Worker, wish: WorkWish) -> str:
    """Why a worker may not have a task, as the rest of a sentence about it; empty: it may."""
    if wish.agent_name and wish.agent_name != worker.name:
        return f"is for the worker named {wish.agent_name}"
    if wish.codebase and codebase_of(worker.codebases, wish.codebase) is None:
        return f"is about the codebase {wish.codebase}, which this worker did not register"
    if wish.model and wish.model not in worker.models:
        return f"needs the model {wish.model}, which this worker did not register"
    if wish.agent_type in SWARM_KINDS and SWARM not in worker.capabilities:
        return f"needs a worker with the capability `{SWARM}`"
    return ""


def fits(worker: Worker, wish: WorkWish) -> bool:
    """Whether a worker may have a task of its own tenant."""
    return not unfit(worker, wish)


def codebase_of(registered: tuple[str, ...], named: str) -> str | None:
    """The registered codebase that a task names: by its path, or by the path's last part.

    No name means the first. Nothing else is ever worked in.
    """
    if not named:
        return registered[0] if registered else None
    if named in registered:
        return named
    if "/" in named:
        return None
    return next((one for one in registered if one.rstrip("/").rpartition("/")[2] == named), None)


def model_ref(text: str) -> str:
    """`provider/model`, where it may be written `provider:model`."""
    if "/" in text or ":" not in text:
        return text
    provider, _, model = text.partition(":")
    return f"{provider}/{model}"
