"""The files of a fresh worktree as a snapshot has them; its branch and its index stay."""

import shutil
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.workspace import Tree
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.repository import find_repository


def top_of(tree: Tree, prefix: str) -> Path:
    """The top of the worktree, where its agent works in the directory `prefix` below it."""
    depth = len(Path(prefix).parts)
    return tree.path.parents[depth - 1] if depth else tree.path


async def lay_out(root: Path, snapshot: str, objects: Path | None = None) -> None:
    """Make the files what commit `snapshot` holds; nobody has worked here yet.

    `objects` is the directory where it is found, if that is not the worktree's own repository.

    Raises:
        WorkspaceError: the commit is not there, or git refuses.
    """
    repository = await find_repository(root)
    if repository is None:
        raise WorkspaceError(f"{root} is no worktree")
    env = (("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(objects)),) if objects else ()
    git = Git(work_tree=root, git_dir=repository.git_dir, env=env)
    index = repository.git_dir / "lay-out-index"
    try:
        shutil.copy2(repository.git_dir / "index", index)  # its time tells racy entries
        await git.run("read-tree", "--reset", "-u", f"{snapshot}^{{tree}}", index=index)
    finally:
        index.unlink(missing_ok=True)
