"""A worktree whose files somebody deleted, linked again to what git still knows of it."""

from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.worktrees import admin_directories


def recreate(common_dir: Path, root: Path) -> tuple[str, ...]:
    """Make the directory of the worktree that holds `root` again, without files.

    Raises:
        WorkspaceError: git knows no such worktree any more.
    """
    for git_dir, top in admin_directories(common_dir):
        if root.is_relative_to(top) and not top.exists():
            root.mkdir(parents=True)
            (top / ".git").write_text(f"gitdir: {git_dir}\n", "utf-8")
            return (f"{top} was gone and is made anew; ignored files in it are lost",)
    raise WorkspaceError(f"the worktree {root} is gone, and git knows nothing of it any more")
