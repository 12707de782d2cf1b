"""A merge with conflicts, laid out in a worktree for a resolver agent, and taken back from it."""

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.workspace import MergeOutcome
from codetether_ray.workspace.commits import (
    commit_tree,
    is_ancestor,
    merge_trees,
    move_ref,
    resolve,
)
from codetether_ray.workspace.git_command import Git, shown
from codetether_ray.workspace.markers import allowed_markers, left_markers
from codetether_ray.workspace.records import MergeRecord, TreeRecord
from codetether_ray.workspace.status import read_status
from codetether_ray.workspace.work import look, stage


async def begin_merge(git: Git, ours: str, theirs: str, label: str) -> MergeRecord:
    """Merge `theirs` into `ours`, leave the conflicts in the files, and note where they are.

    `label` names `theirs`, and stands behind the closing markers. Nobody has worked here yet: a
    beginning that was cut off is begun anew.
    """
    await git.run("reset", "--hard", "--quiet", ours)
    _, conflicts = await merge_trees(git, ours, theirs)
    await git.run("merge", "--no-commit", "--no-ff", "--quiet", label, allow=(0, 1))
    allowed = {}
    for path in conflicts:
        place = git.work_tree / path
        if place.is_file() and not place.is_symlink():
            markers = allowed_markers(place.read_bytes(), label)
            if markers:
                allowed[path] = markers
    return MergeRecord(ours=ours, theirs=theirs, label=label, conflicts=conflicts, allowed=allowed)


async def end_merge(
    git: Git, record: TreeRecord, merge: MergeRecord, message: str, file_bytes: int
) -> MergeOutcome:
    """Commit what the resolver made on the tree's branch; `conflict` if it is not resolved.

    Files in conflict that have no markers (binary ones, or deleted on one side) are taken as
    they are.
    """
    if not await _is_still_merging(git, merge):
        await _lay_out_again(git, merge)
        return MergeOutcome(status="conflict", conflicts=shown(merge.conflicts))
    left = tuple(path for path, allowed in merge.allowed.items() if _has_left(git, path, allowed))
    if left:
        return MergeOutcome(status="conflict", conflicts=shown(left))
    work = await look(git, record, file_bytes)
    tree = await stage(git, work)
    commit = await commit_tree(git, tree, (merge.ours, merge.theirs), message)
    await git.run("merge", "--quit", allow=(0, 128))
    ref = f"refs/heads/{record.branch}"
    if not await move_ref(git, ref, commit, await resolve(git, ref)):
        raise WorkspaceError(f"{record.branch} moved while its merge was committed; try again")
    await git.run("symbolic-ref", "HEAD", ref)
    return MergeOutcome(status="merged", commit=commit)


async def _lay_out_again(git: Git, merge: MergeRecord) -> None:
    """Give the next attempt its markers back, if the aborted one left nothing of its own."""
    status = await read_status(git)
    if not status.changes and status.head == merge.ours:
        await begin_merge(git, merge.ours, merge.theirs, merge.label or merge.theirs)


async def _is_still_merging(git: Git, merge: MergeRecord) -> bool:
    """Whether the merge is open, or was committed by the resolver; an aborted one is neither."""
    if git.git_dir is not None and (git.git_dir / "MERGE_HEAD").exists():
        return True
    head = await resolve(git, "HEAD")
    return bool(head) and await is_ancestor(git, merge.theirs, head)


def _has_left(git: Git, path: str, allowed: dict[str, int]) -> bool:
    place = git.work_tree / path
    if not place.is_file():
        return False
    return bool(left_markers(path, place.read_bytes(), allowed))
