"""What a run works from: HEAD, or a snapshot of the user's files on top of it."""

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.commits import commit_tree, resolve
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.names import ref_of, run_slug
from codetether_ray.workspace.records import (
    ROOM,
    RunRecord,
    read_record,
    run_record_path,
    write_record,
)
from codetether_ray.workspace.repository import Repository, notes_on
from codetether_ray.workspace.snapshot import Limits, Snapshot, snapshot


async def find_or_make_base(
    git: Git, repository: Repository, run_id: str, limits: Limits, worktrees: str
) -> RunRecord:
    """The run's base, as recorded when the run began, or made now. A ref keeps its commit alive.

    Raises:
        WorkspaceError: too much would have to be copied, or git refuses.
    """
    path = run_record_path(repository.common_dir, run_slug(run_id))
    record = read_record(RunRecord, path)
    if record is not None and record.run_id != run_id:
        raise WorkspaceError(f"{path} belongs to run {record.run_id}, not to {run_id}")
    if record is None:
        record = await _make(git, repository, run_id, limits, worktrees)
        write_record(path, record)
    return record


async def _make(
    git: Git, repository: Repository, run_id: str, limits: Limits, worktrees: str
) -> RunRecord:
    await _refuse_clash(git)
    async with snapshot(git, repository, limits) as now:
        is_clean = bool(now.head) and now.tree == now.head_tree
        base = now.head if is_clean else await _commit(git, now, run_id)
    await git.run("update-ref", ref_of(run_slug(run_id), "base"), base, durable=True)
    notes = now.notes
    if not repository.is_private:
        notes = await notes_on(repository, git, is_unborn=not now.head) + notes
    return RunRecord(
        run_id=run_id,
        base=base,
        head=now.head,
        branch=now.branch,
        is_snapshot=not is_clean,
        notes=notes,
        worktrees=worktrees,
    )


async def _refuse_clash(git: Git) -> None:
    """Git cannot hold a branch `codetether` beside `codetether/<run>/…`."""
    if await resolve(git, f"refs/heads/{ROOM}"):
        raise WorkspaceError(
            f"there is a branch named `{ROOM}` here, which leaves no room for `{ROOM}/<run>/…`; "
            f"rename it (`git branch -m {ROOM} another-name`)"
        )


async def _commit(git: Git, now: Snapshot, run_id: str) -> str:
    parents = (now.head,) if now.head else ()
    return await commit_tree(git, now.tree, parents, f"Uncommitted changes when {run_id} began")
