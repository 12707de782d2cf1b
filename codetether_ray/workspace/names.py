"""Names of branches, refs and directories of a run."""

import hashlib
import re

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.core.ids import is_run_id, slug

_PREFIX = "codetether"
MAIN = "main"


def run_slug(run_id: str) -> str:
    """A short readable name of a run: its kind and its random part (`swm-1a2b3c4d`)."""
    if is_run_id(run_id):
        kind, _, rest = run_id.split("_")
        return f"{kind}-{rest}"
    return unique(run_id)


def tree_name(id: str) -> str:
    """A subtask's id as a directory and branch name; different ids have different names.

    Raises:
        WorkspaceError: the id is `main`, which is the run's own branch.
    """
    name = unique(id)
    if name == MAIN:
        raise WorkspaceError("no subtask may be named `main`: that is the run's own branch")
    return name


def resolver_name(id: str) -> str:
    """The name of a merge's worktree. Two dashes: no subtask's name has them."""
    return f"resolve--{unique(id)}"


def branch_of(run: str, name: str) -> str:
    """A branch of a run."""
    return f"{_PREFIX}/{run}/{name}"


def ref_of(run: str, *names: str) -> str:
    """A ref that keeps something of a run alive without being a branch."""
    return "/".join(("refs", _PREFIX, run, *names))


def split_branch(branch: str) -> tuple[str, str] | None:
    """The run's slug and the name in a branch of ours; None for others' branches."""
    found = re.fullmatch(rf"{_PREFIX}/([^/]+)/([^/]+)", branch)
    return (found[1], found[2]) if found else None


def unique(text: str) -> str:
    """`text` as a name of a directory or in a ref; different texts have different names."""
    name = slug(text)
    if name == text:
        return name
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
