"""What hubs build on stays alive; hubs of runs that are over go."""

import os
from pathlib import Path

import pytest

from codetether_ray.workspace.hub import cleared_mark, hub_path
from codetether_ray.workspace.hub_cleanup import clean_hubs, remove_hub
from codetether_ray.workspace.snapshots import GitSnapshots
from tests.adapters.workspace.repos import RUN, Repo, git

OTHER = "ses_0mabc12345_0badcafe"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def session(repo: Repo, data: Path, run: str = RUN) -> GitSnapshots:
    """Snapshots of the user's own directory."""
    return GitSnapshots(repo.path, hub_path(data, run), run_id=run, agent="main")


def lose_history(repo: Repo) -> None:
    """Amend, let the reflog expire, and collect what nothing refers to."""
    repo.git("-c", "user.name=U", "-c", "user.email=u@x", "commit", "--amend", "-qm", "other")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")


async def test_a_rewritten_branch_and_a_gc_take_nothing_from_a_sessions_trees(
    repo: Repo, data: Path
) -> None:
    snapshots = session(repo, data)
    base = repo.git("rev-parse", "HEAD")
    before = await snapshots.take("before")
    repo.write({"a.txt": "changed\n"})
    taken = await snapshots.take("1")
    assert before.commit == base
    lose_history(repo)
    hub = hub_path(data, RUN)
    assert git(hub, "show", f"{taken.commit}:b.txt") == "b1"
    git(hub, "fsck", "--connectivity-only")
    again = session(repo, data)
    await again.go_on_from(taken.commit)
    assert (await again.take("2")).commit == taken.commit
    await remove_hub(data, RUN)
    assert repo.git("for-each-ref", "refs/codetether") == ""


async def test_hubs_of_runs_that_are_over_go_and_others_stay_with_the_reason(
    repo: Repo, data: Path
) -> None:
    for run in (RUN, OTHER):
        await session(repo, data, run).take("1")

    def reason(run: str) -> str | None:
        return "it can go on" if run == OTHER else None

    plan = await clean_hubs(data, reason, dry_run=True)
    assert [(h.run_id, h.size > 0) for h in plan.hubs] == [(RUN, True)]
    assert plan.kept == ((str(hub_path(data, OTHER)), "it can go on"),)
    assert hub_path(data, RUN).exists()
    assert await clean_hubs(data, reason) == plan
    assert not hub_path(data, RUN).exists()
    assert cleared_mark(data, RUN).exists()
    assert (await clean_hubs(data, reason)).hubs == ()


async def test_what_a_cut_off_step_left_stays_while_it_is_nowhere_else(
    repo: Repo, data: Path
) -> None:
    snapshots = GitSnapshots(repo.path, hub_path(data, RUN), run_id=RUN, agent="main", is_own=True)
    await snapshots.take("1")
    repo.write({"a.txt": "half\n"})
    await snapshots.restore()
    done = await clean_hubs(data, lambda _: None)
    assert done.hubs == ()
    assert "left-g1" in done.kept[0][1]


async def test_a_session_whose_hub_went_keeps_its_trees_anew_and_says_so(
    repo: Repo, data: Path
) -> None:
    repo.write({"a.txt": "one\n"})
    taken = await session(repo, data).take("1")
    await remove_hub(data, RUN)
    repo.write({"a.txt": "two\n"})
    again = session(repo, data)
    await again.go_on_from(taken.commit)
    more = await again.take("2")
    assert git(hub_path(data, RUN), "show", f"{more.commit}:a.txt") == "two"
    assert any("kept anew" in note for note in more.notes)


async def test_drafts_and_scratch_places_of_killed_processes_go(repo: Repo, data: Path) -> None:
    snapshots = session(repo, data)
    await snapshots.take("1")
    hub = hub_path(data, RUN)
    old, new = hub.with_name(f".{hub.name}.1.1"), hub.with_name(f".{hub.name}.2.2")
    for place in (old, new):
        place.mkdir()
    os.utime(old, (0, 0))
    await clean_hubs(data, lambda _: "it can go on")
    assert (old.exists(), new.exists()) == (False, True)
    (hub / "scratch-main.old").mkdir()

    async def nothing(_: Path) -> None: ...

    await snapshots.has_been_done(nothing)
    assert not list(hub.glob("scratch-*"))
