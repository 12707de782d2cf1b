"""`codetether cleanup`: take away what finished runs left, and nothing that exists nowhere else."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from codetether_ray.core.codec import JsonObject
    from codetether_ray.workspace.cleanup import Cleanup

_MB = 1_000_000


@click.command(
    "cleanup",
    epilog=examples(
        "codetether cleanup --dry-run",
        "codetether cleanup --yes",
        "codetether cleanup --dry-run --json",
        "codetether cleanup --nodes --address 10.0.0.5:6379 --dry-run",
    ),
)
@click.option("-d", "--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--nodes", is_flag=True, help="Clean the clones on every node of the cluster, too.")
@options.address
def command(dry_run: bool, as_json: bool, yes: bool, nodes: bool, address: str | None) -> int:
    """Remove worktrees, branches, kept trees (hubs) and needless clones of finished runs.

    Looks at the repository of the current directory, at copies that runs outside git made, at the
    trees that were kept for a resume, and at clones that runs on a cluster brought. Work that is
    not committed, or merged nowhere else, stays and is named; so does all that a run needs which
    can be resumed.
    """

    def clean(dry_run: bool) -> "Cleanup":
        found = _clean(dry_run=dry_run)
        return found + _clean_nodes(address, dry_run=dry_run) if nodes else found

    plan = clean(True)
    if not as_json:
        _list(plan)
    if dry_run or plan.is_empty:
        done = plan
    elif not as_json and not yes and sys.stdin.isatty() and not click.confirm("Remove them?"):
        return exit_codes.SUCCESS
    else:
        done = _removed(plan, clean)
    if as_json:
        click.echo(json.dumps(_as_json(done, is_dry=dry_run), indent=2))
    elif not dry_run and not plan.is_empty:
        click.echo(f"removed {_count(done)}")
        _say_new(plan, done)
    return exit_codes.SUCCESS


def _removed(plan: "Cleanup", clean: "Callable[[bool], Cleanup]") -> "Cleanup":
    """Remove what was found; it is in the audit log, unless that cannot be written."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.cli.output import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    action = Action(
        category="sandbox",
        action="workspace.cleanup",
        resource=str(Path.cwd()),
        detail=_counts(plan),
    )
    with acting(data_dir(os.environ), action, notice=say) as noted:
        done = clean(False)
        noted.detail["removed"] = _counts(done)
        return done


def _counts(plan: "Cleanup") -> "JsonObject":
    return {
        "worktrees": len(plan.worktrees),
        "branches": len(plan.branches),
        "hubs": len(plan.hubs),
        "clones": len(plan.clones),
    }


def _clean(*, dry_run: bool) -> "Cleanup":
    from codetether_ray.bootstrap.resuming import reason_to_keep_trees
    from codetether_ray.bootstrap.trees.cleaning import clean_here
    from codetether_ray.config.paths import data_dir
    from codetether_ray.core.errors import UnknownRunError
    from codetether_ray.journal.listing import find_run
    from codetether_ray.workspace.cleanup import Cleanup, clean, clean_copies, clean_kept_trees
    from codetether_ray.workspace.open import COPIES
    from codetether_ray.workspace.repository import find_repository

    folder = data_dir(os.environ)

    def is_finished(run_id: str) -> bool:
        try:
            return find_run(folder, run_id).state == "finished"
        except UnknownRunError:
            return False

    def needs(run_id: str) -> str | None:
        try:
            return reason_to_keep_trees(find_run(folder, run_id))
        except UnknownRunError:
            return "nothing is known of its run"

    async def work() -> Cleanup:
        repository = await find_repository(Path.cwd())
        total = Cleanup()
        if repository is not None:
            total += await clean(
                repository, is_finished, dry_run=dry_run, can_go_on=lambda run: bool(needs(run))
            )
        total += await clean_copies(folder / COPIES, is_finished, dry_run=dry_run)
        total += await clean_here(folder, dry_run=dry_run)
        return total + await clean_kept_trees(folder, needs, dry_run=dry_run)

    return asyncio.run(work())


def _clean_nodes(address: str | None, *, dry_run: bool) -> "Cleanup":
    from codetether_ray.bootstrap.trees.cleaning import clean_nodes
    from codetether_ray.bootstrap.truth.reach import reached
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.workspace.cleanup import Cleanup

    async def work() -> Cleanup:
        async with reached(address, data_dir(os.environ), say) as reach:
            return await clean_nodes(reach, say, dry_run=dry_run)

    return asyncio.run(work())


def _list(plan: "Cleanup") -> None:
    for tree in plan.worktrees:
        click.echo(f"worktree  {tree.path}  ({tree.branch})")
    for branch in plan.branches:
        click.echo(f"branch    {branch}")
    for hub in plan.hubs:
        click.echo(f"hub       {hub.path}  ({hub.size / _MB:,.1f} MB)")
    for path, size in plan.clones:
        click.echo(f"clone     {path}  ({size / _MB:,.1f} MB)")
    for kept in plan.kept:
        click.echo(f"kept      {kept.what}: {kept.reason}", err=True)
    if plan.is_empty:
        click.echo("nothing to remove")


def _say_new(plan: "Cleanup", done: "Cleanup") -> None:
    """What could not be removed after all."""
    for kept in done.kept:
        if kept not in plan.kept:
            click.echo(f"kept      {kept.what}: {kept.reason}", err=True)


def _count(done: "Cleanup") -> str:
    trees, branches, hubs = len(done.worktrees), len(done.branches), len(done.hubs)
    clones = f", {len(done.clones)} clones" if done.clones else ""
    return (
        f"{trees} worktree{'' if trees == 1 else 's'}, "
        f"{branches} branch{'' if branches == 1 else 'es'} and "
        f"{hubs} hub{'' if hubs == 1 else 's'}{clones}"
    )


def _as_json(done: "Cleanup", *, is_dry: bool) -> dict[str, Any]:
    trees = [{"id": t.id, "branch": t.branch, "path": t.path} for t in done.worktrees]
    rest: dict[str, Any] = {
        "worktrees": trees,
        "branches": list(done.branches),
        "hubs": [{"run": h.run_id, "path": h.path, "bytes": h.size} for h in done.hubs],
        "clones": [{"path": path, "bytes": size} for path, size in done.clones],
        "kept": [{"what": k.what, "reason": k.reason} for k in done.kept],
    }
    if is_dry:
        return {"dry_run": True, "worktrees_found": len(trees), **rest}
    return {"cleaned": len(trees), "success": True, **rest}
