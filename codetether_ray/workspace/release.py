"""When a worktree may go, and what has to be taken out of it before."""

import asyncio
import shutil
from pathlib import Path

from codetether_ray.workspace.git_command import Git, shown
from codetether_ray.workspace.records import TreeRecord
from codetether_ray.workspace.status import read_status
from codetether_ray.workspace.work import look

_SUBMODULE = " 160000 "


async def reason_to_keep(git: Git, record: TreeRecord, file_bytes: int) -> str | None:
    """What a worktree holds that is nowhere else; None if nothing."""
    work = await look(git, record, file_bytes)
    staged = tuple(c.path for c in work.status.changes if c.staged != "." and not c.is_untracked)
    waiting = dict.fromkeys((*work.left, *work.add, *(p for p in staged if p not in work.unstage)))
    if waiting:
        return f"{', '.join(shown(tuple(waiting))[:3])} not committed"
    if work.status.branch != record.branch:
        return f"it is not on its branch {record.branch} any more"
    if git.git_dir is not None and (git.git_dir / "MERGE_HEAD").exists():
        return "a merge in it is not finished"
    if await _has_own_submodule_commits(git, record):
        return "it may hold commits of a submodule that are nowhere else"
    return None


async def _has_own_submodule_commits(git: Git, record: TreeRecord) -> bool:
    """Whether a submodule that was filled here was moved to another commit."""
    if git.git_dir is None or not (git.git_dir / "modules").is_dir():
        return False
    changed = await git.text("diff-tree", "-r", record.base, f"refs/heads/{record.branch}")
    return any(_SUBMODULE in line for line in changed.splitlines())


async def drop_environment(git: Git, record: TreeRecord) -> None:
    """Take away copies and what the setup command left, so that git finds the tree clean."""
    await asyncio.to_thread(_delete, git.work_tree, record.copied)
    changes = (await read_status(git)).changes if record.residue else ()
    for change in changes:
        path = change.path.rstrip("/")
        if path not in record.residue:
            continue
        if change.is_untracked:
            _delete(git.work_tree, (path,))
        else:
            await git.run("checkout", "--quiet", "HEAD", "--", path)


def _delete(root: Path, paths: tuple[str, ...]) -> None:
    for path in paths:
        place = root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
