"""What tells a repository and a hub on a node from those at a run's home.

A node's clone keeps what came from home for a run by refs of its own, one for each commit. The hub
that agents on the node write into is marked: what is in it counts only once the run's own hub has
it, too.
"""

from pathlib import Path

from codetether_ray.workspace.names import ref_of, run_slug, unique
from codetether_ray.workspace.repository import Repository

HOME_MARK = "codetether/{}.home"
"""File in a clone that stands for a checkout on another machine, until the result is there."""
OUTGOING = "outgoing"
"""Directory in a hub for packs that are on their way."""
_CAME = "came"
_MARK, _SENT = "outpost", "sent"


def came_ref(run_id: str, commit: str) -> str:
    """The ref in a node's clone that keeps a commit which came from the run's home."""
    return ref_of(run_slug(run_id), _CAME, commit)


def came(repository: Repository, run_id: str) -> tuple[str, ...]:
    """The commits that came from the run's home; read as files, which nobody packs."""
    folder = repository.common_dir / ref_of(run_slug(run_id), _CAME)
    try:
        return tuple(sorted(place.name for place in folder.iterdir() if "." not in place.name))
    except FileNotFoundError:
        return ()


def note_sent(hub: Path, life: str, agent: str, commit: str) -> None:
    """Note in a node's hub what the run's own hub has of an agent's process; of use, not needed."""
    place = hub / _SENT / f"{unique(agent)}-{life}"
    place.parent.mkdir(exist_ok=True)
    place.write_text(commit, "ascii")


def sent(hub: Path) -> tuple[str, ...]:
    """What the run's own hub has of all agents that wrote into a node's hub."""
    try:
        return tuple(sorted({place.read_text("ascii") for place in (hub / _SENT).iterdir()}))
    except FileNotFoundError:
        return ()


def mark_outpost(hub: Path) -> None:
    """Say of a hub that it is a node's own."""
    (hub / _MARK).touch()


def is_outpost(hub: Path) -> bool:
    """Whether a hub is a node's own."""
    return (hub / _MARK).exists()
