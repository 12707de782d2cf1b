"""The trees of an agent, step by step: exact, flushed, and nobody else's files touched."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.workspace import Tree
from codetether_ray.workspace import git_command
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import Hub, hub_path
from codetether_ray.workspace.names import run_slug
from codetether_ray.workspace.snapshot import Limits
from codetether_ray.workspace.snapshots import GitSnapshots
from tests.adapters.workspace.repos import RUN, Repo, commit_as_agent, git, write

_AGENT = "sub/one"


def shape(root: Path) -> dict[str, object]:
    """Every file with its mode and content, every link with its target; git's own left out."""
    found: dict[str, object] = {}
    for place in sorted(root.rglob("*")):
        name = str(place.relative_to(root))
        if name == ".git" or name.startswith(".git/"):
            continue
        if place.is_symlink():
            found[name] = f"-> {place.readlink()}"
        elif place.is_file():
            found[name] = (place.stat().st_mode & 0o111, place.read_bytes())
    return found


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return hub_path(tmp_path / "data", RUN)


@pytest.fixture
def keeping(hub: Path) -> Callable[..., GitSnapshots]:
    """Snapshots of a directory, as another process of the same agent would make them."""

    def make(root: Path, *, is_own: bool = True, **options: object) -> GitSnapshots:
        options = {"agent": _AGENT, **options}
        return GitSnapshots(root, hub, run_id=RUN, is_own=is_own, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
async def tree(repo: Repo, opened: Callable[..., GitWorkspace], hub: Path) -> Tree:
    return await opened(repo.path, hub=hub).start("one")


async def test_an_unchanged_tree_is_the_same_snapshot(tree: Tree, keeping) -> None:
    snapshots = keeping(tree.path)
    first = await snapshots.take("1")
    assert first == await snapshots.take("2")
    assert first.commit == tree.base


async def test_a_changed_tree_is_a_child_of_the_last_one_and_names_its_files(
    tree: Tree, keeping, hub: Path
) -> None:
    snapshots = keeping(tree.path)
    first = await snapshots.take("0")
    write(tree.path, {"a.txt": "changed\n", "new/file.py": "x = 1\n"})
    (tree.path / "b.txt").unlink()
    second = await snapshots.take("1 call-7")
    assert second.files == ("a.txt", "b.txt", "new/file.py")
    assert git(hub, "rev-parse", f"{second.commit}^") == first.commit
    assert git(hub, "rev-parse", f"{second.commit}^{{tree}}") == second.tree
    message = git(hub, "log", "-1", "--format=%B", second.commit)
    assert f"Codetether-Run: {RUN}" in message
    assert "Codetether-Step: 1 call-7" in message
    refs = git(hub, "for-each-ref", "--format=%(refname) %(objectname)")
    assert f"refs/codetether/{RUN}/sub/one/g1 {second.commit}" in refs
    assert git(hub, "fsck", "--full", "--strict", "--no-dangling") == ""


async def test_restoring_is_exact(tree: Tree, keeping) -> None:
    write(
        tree.path,
        {".gitattributes": "*.bat text eol=crlf\n*.bin binary\n", "kept.log": "ignored", "d/e": ""},
    )
    (tree.path / "run.sh").write_text("#!/bin/sh\n")
    (tree.path / "run.sh").chmod(0o755)
    (tree.path / "link").symlink_to("a.txt")
    (tree.path / "dangling").symlink_to("nowhere")
    (tree.path / "to.bat").write_bytes(b"one\r\ntwo\r\n")
    (tree.path / "odd name \n.bin").write_bytes(bytes(range(256)))
    (tree.path / "b.txt").unlink()
    snapshots = keeping(tree.path)
    kept = await snapshots.take("1")
    wanted = shape(tree.path)

    (tree.path / "run.sh").chmod(0o644)
    (tree.path / "link").unlink()
    (tree.path / "link").write_text("a file now")
    (tree.path / "to.bat").unlink()
    (tree.path / "odd name \n.bin").write_bytes(b"")
    shutil.rmtree(tree.path / "src")
    (tree.path / "src").write_text("a file where a directory was")
    write(tree.path, {"b.txt": "back", "more/and/more": "x", "a.txt": "other"})

    again = keeping(tree.path)
    await again.go_on_from(kept.commit)
    (note,) = await again.restore()
    assert shape(tree.path) == wanted
    assert "left-g2" in note
    assert (await again.take("2")).tree == kept.tree
    assert await again.restore() == ()


async def test_what_a_restore_puts_aside_is_kept(tree: Tree, keeping, hub: Path) -> None:
    snapshots = keeping(tree.path)
    kept = await snapshots.take("1")
    write(tree.path, {"half.txt": "half done"})
    again = keeping(tree.path)
    await again.go_on_from(kept.commit)
    await again.restore()
    assert not (tree.path / "half.txt").exists()
    left = f"refs/codetether/{RUN}/sub/one/left-g2"
    assert git(hub, "show", f"{left}:half.txt") == "half done"


async def test_a_path_that_becomes_something_else_is_kept_whole(
    tree: Tree, keeping, hub: Path
) -> None:
    snapshots = keeping(tree.path)
    await snapshots.take("0")
    shutil.rmtree(tree.path / "src")
    (tree.path / "src").write_text("a file now")
    (tree.path / "b.txt").unlink()
    write(tree.path, {"b.txt/inner": "a directory now"})
    taken = await snapshots.take("1")
    assert taken.files == ("b.txt/inner", "src", "src/c.py")
    own = git(hub, "cat-file", "--batch-check", "--batch-all-objects").splitlines()
    for name in ("src", "b.txt", "b.txt/inner"):
        oid = git(hub, "rev-parse", f"{taken.commit}:{name}")
        assert any(line.startswith(oid) for line in own)


async def test_a_worktree_whose_files_are_gone_is_made_anew(tree: Tree, keeping) -> None:
    snapshots = keeping(tree.path)
    write(tree.path, {"a.txt": "changed\n", "new": "n"})
    kept = await snapshots.take("1")
    wanted = shape(tree.path)
    shutil.rmtree(tree.path)
    again = keeping(tree.path)
    await again.go_on_from(kept.commit)
    (note,) = await again.restore()
    assert "made anew" in note
    assert shape(tree.path) == wanted
    assert (await again.take("2")).commit == kept.commit
    assert git(tree.path, "rev-parse", "--abbrev-ref", "HEAD") == tree.branch


async def test_a_worktree_that_the_workspace_made_anew_gets_its_files_back(
    repo: Repo, opened, keeping, hub: Path
) -> None:
    tree = await opened(repo.path, hub=hub).start("one")
    snapshots = keeping(tree.path)
    write(tree.path, {"a.txt": "changed\n"})
    kept = await snapshots.take("1")
    wanted = shape(tree.path)
    shutil.rmtree(tree.path)
    anew = await opened(repo.path, hub=hub).start("one")
    assert anew.path == tree.path
    again = keeping(anew.path)
    await again.go_on_from(kept.commit)
    await again.restore()
    assert shape(anew.path) == wanted


async def test_a_zombie_moves_only_its_own_ref(tree: Tree, keeping, hub: Path) -> None:
    zombie = keeping(tree.path)
    write(tree.path, {"a.txt": "1\n"})
    kept = await zombie.take("1")
    successor = keeping(tree.path)
    await successor.go_on_from(kept.commit)
    write(tree.path, {"a.txt": "2\n"})
    mine = await successor.take("2")
    write(tree.path, {"a.txt": "zombie\n"})
    late = await zombie.take("2 too")
    ref = f"refs/codetether/{RUN}/sub/one"
    assert git(hub, "rev-parse", f"{ref}/g2") == mine.commit
    assert git(hub, "rev-parse", f"{ref}/g1") == late.commit
    await successor.restore()
    assert (tree.path / "a.txt").read_text() == "2\n"


async def test_who_comes_home_names_no_tree_as_a_life_on_another_node_did(
    tree: Tree, keeping, hub: Path
) -> None:
    there = keeping(tree.path)
    write(tree.path, {"a.txt": "1\n"})
    recorded = await there.take("1")
    write(tree.path, {"a.txt": "no result says so\n"})
    orphan = await there.take("2")
    for index in (hub / "indexes").rglob("g1"):  # of another node: its indexes are not here
        index.unlink()
    here = keeping(tree.path)
    await here.go_on_from(recorded.commit)
    write(tree.path, {"a.txt": "2\n"})
    mine = await here.take("2")
    ref = f"refs/codetether/{RUN}/sub/one"
    assert git(hub, "rev-parse", f"{ref}/g1") == orphan.commit
    assert git(hub, "rev-parse", f"{ref}/g2") == mine.commit


async def test_a_session_leaves_the_users_repository_as_it_is_but_for_a_hidden_ref(
    repo: Repo, keeping
) -> None:
    repo.write({"a.txt": "staged\n", "new.txt": "new\n", "noise.log": "ignored"})
    repo.git("add", "a.txt")
    repo.write({"a.txt": "staged and changed\n"})
    before, refs = repo.fingerprint(), repo.git("for-each-ref")
    objects = sorted(str(p) for p in (repo.path / ".git" / "objects").rglob("*"))
    snapshots = keeping(repo.path, is_own=False, agent="main")
    first = await snapshots.take("0")
    repo.write({"late.txt": "late\n"})
    second = await snapshots.take("1")
    assert second.files == ("late.txt",)
    (repo.path / "late.txt").unlink()
    assert repo.fingerprint() == before
    head = repo.git("rev-parse", "HEAD")
    hidden = f"{head} commit\trefs/codetether/{run_slug(RUN)}/kept/{head}"
    assert repo.git("for-each-ref").splitlines() == [hidden, *refs.splitlines()]
    assert sorted(str(p) for p in (repo.path / ".git" / "objects").rglob("*")) == objects
    assert first.commit != second.commit
    with pytest.raises(WorkspaceError, match="not the agent's own"):
        await snapshots.restore()


async def test_the_hub_survives_what_the_users_gc_takes_away(
    repo: Repo, opened, keeping, hub: Path
) -> None:
    workspace = opened(repo.path, hub=hub)
    tree = await workspace.start("one")
    snapshots = keeping(tree.path)
    write(tree.path, {"a.txt": "only staged for a moment\n", "deep/er/x": "x"})
    git(tree.path, "add", "--all")  # the objects are in the user's repository by now
    kept = await snapshots.take("1")
    wanted = shape(tree.path)
    git(tree.path, "reset", "--hard", "--quiet")
    repo.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    repo.git("gc", "--prune=now", "--quiet")
    git(hub, "fsck", "--full", "--strict", "--no-dangling")
    again = keeping(tree.path)
    await again.go_on_from(kept.commit)
    await again.restore()
    assert shape(tree.path) == wanted


async def test_a_result_is_in_the_hub_when_its_commit_is_told(
    repo: Repo, opened, hub: Path
) -> None:
    workspace = opened(repo.path, hub=hub)
    tree = await workspace.start("one")
    write(tree.path, {"a.txt": "by the agent\n"})
    commit_as_agent(tree.path)
    write(tree.path, {"b.txt": "later\n"})
    done = await workspace.commit(tree, "one")
    base = await workspace.open()
    git(hub, "config", "core.bare", "true")
    (hub / "objects" / "info" / "alternates").unlink()
    own = git(hub, "cat-file", "--batch-check", "--batch-all-objects").splitlines()
    assert any(line.startswith(done.commit) for line in own)
    assert not any(line.startswith(base.commit) for line in own)
    assert Hub(hub).read_ref(f"refs/codetether/{RUN}/result/one") == done.commit


async def test_large_files_nested_repositories_and_copies_stay_out_and_are_named(
    repo: Repo, opened, keeping, hub: Path
) -> None:
    repo.write({".env.local": "port = 1"})
    tree = await opened(repo.path, hub=hub, copy=(".env.local",)).start("one")
    (tree.path / "big").write_bytes(b"x" * 2_000)
    Repo(tree.path / "nested").commit({"inner": "1"})
    snapshots = keeping(tree.path, limits=Limits(file_bytes=1_000))
    write(tree.path, {"small": "s"})
    taken = await snapshots.take("1")
    assert git(hub, "ls-tree", "-r", "--name-only", taken.commit).splitlines() == [
        ".gitignore", "a.txt", "b.txt", "small", "src/c.py",
    ]  # fmt: skip
    assert [note.split(" ")[0] for note in taken.notes] == ["big", "nested/"]
    write(tree.path, {"small": "t"})
    assert (await snapshots.take("2")).notes == ()


async def test_the_programs_own_data_in_a_tree_is_no_part_of_it(repo: Repo) -> None:
    hub = hub_path(repo.path / ".data", RUN)
    snapshots = GitSnapshots(repo.path, hub, run_id=RUN, agent="main")
    first = await snapshots.take("1")
    repo.write({".data/events/x.jsonl": "{}", "a.txt": "changed"})
    assert (await snapshots.take("2")).files == ("a.txt",)
    assert first.tree == repo.git("rev-parse", "HEAD^{tree}")


async def test_submodules_are_left_alone(tmp_path: Path, repo: Repo, keeping) -> None:
    other = Repo(tmp_path / "other")
    other.commit({"lib": "1"})
    repo.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "m"
    )
    repo.git("-c", "user.name=U", "-c", "user.email=u@x", "commit", "--quiet", "-m", "module")
    snapshots = keeping(repo.path)
    kept = await snapshots.take("1")
    write(repo.path, {"m/lib": "changed inside", "a.txt": "changed"})
    again = keeping(repo.path)
    await again.go_on_from(kept.commit)
    await again.restore()
    assert (repo.path / "m" / "lib").read_text() == "changed inside"
    assert (repo.path / "a.txt").read_text() == "a1\na2\na3\n"


async def test_too_much_is_refused_in_a_sentence(tree: Tree, keeping) -> None:
    snapshots = keeping(tree.path, limits=Limits(total_bytes=1_000))
    await snapshots.take("0")
    (tree.path / "much").write_bytes(b"x" * 2_000)
    with pytest.raises(WorkspaceError, match="more than the 0 MB"):
        await snapshots.take("1")


async def test_a_home_directory_is_not_kept(repo: Repo, keeping) -> None:
    with pytest.raises(WorkspaceError, match="home"):
        await keeping(repo.path, home=repo.path).take("1")


async def test_outside_git_nothing_is_kept(tmp_path: Path, keeping) -> None:
    (tmp_path / "plain").mkdir()
    taken = await keeping(tmp_path / "plain").take("1")
    assert (taken.commit, taken.tree) == ("", "")


async def test_a_repository_without_a_commit_is_kept_too(tmp_path: Path, keeping, hub) -> None:
    unborn = Repo(tmp_path / "unborn")
    unborn.write({"a": "1", "d/b": "2"})
    snapshots = keeping(unborn.path)
    kept = await snapshots.take("1")
    assert git(hub, "ls-tree", "-r", "--name-only", kept.commit).splitlines() == ["a", "d/b"]
    (unborn.path / "a").unlink()
    await snapshots.restore()
    assert (unborn.path / "a").read_text() == "1"


async def test_a_torn_index_is_made_again(tree: Tree, keeping, hub: Path) -> None:
    snapshots = keeping(tree.path)
    write(tree.path, {"a.txt": "changed\n"})
    kept = await snapshots.take("1")
    (hub / "indexes" / "sub" / "one" / "g1").write_bytes(b"DIRC\0\0torn")
    again = keeping(tree.path)
    await again.go_on_from(kept.commit)
    assert (await again.take("2")).commit == kept.commit


async def test_few_git_processes_are_started(tree: Tree, keeping, monkeypatch) -> None:
    ran: list[str] = []
    real = git_command.Git.run

    async def counted(self, *args, **options):
        ran.append(args[0])
        return await real(self, *args, **options)

    snapshots = keeping(tree.path)
    monkeypatch.setattr(git_command.Git, "run", counted)
    await snapshots.take("0")
    assert ran == ["rev-parse", "rev-parse", "status"]
    ran.clear()
    await snapshots.take("1")
    assert ran == ["status"]
    ran.clear()
    write(tree.path, {"a.txt": "changed\n"})
    await snapshots.take("2")
    assert ran == ["status", "add", "write-tree", "diff-tree"]


# -- a change that may have been made -------------------------------------------------------------


async def test_a_change_that_was_made_is_found_and_one_that_was_not_too(
    repo: Repo, keeping
) -> None:
    snapshots = keeping(repo.path, is_own=False)
    await snapshots.take("1")

    async def change(root: Path) -> None:
        assert shape(root).keys() == shape(repo.path).keys() - {"mine", "n"}
        write(root, {"a.txt": "new\n", "n": "n"})

    repo.write({"mine": "of the user"})
    assert await snapshots.has_been_done(change) == "untouched"
    repo.write({"a.txt": "new\n"})
    assert await snapshots.has_been_done(change) == "unknown"
    repo.write({"n": "n"})
    assert await snapshots.has_been_done(change) == "finished"
    repo.write({"n": "other"})
    assert await snapshots.has_been_done(change) == "unknown"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_hub_that_cannot_be_made_is_an_error_in_words(repo: Repo, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    snapshots = GitSnapshots(repo.path, closed / "hubs" / "x.git", run_id=RUN, agent="main")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        await snapshots.take("1")
