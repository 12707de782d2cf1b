"""Contexts on disk: one of a name, whoever opens it; workspaces go, conversations stay."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codetether_ray.bootstrap.a2a import contexts, workspaces
from codetether_ray.bootstrap.a2a.contexts import KEPT_S, Context, wanted
from codetether_ray.bootstrap.a2a.workspaces import InboxFile
from codetether_ray.bootstrap.truth.place import LocalHome
from codetether_ray.core.errors import UnknownRunError, WorkspaceError


@pytest.fixture
def home(tmp_path: Path) -> LocalHome:
    return LocalHome(data_dir=tmp_path / "data")


async def _opened(home: LocalHome, owner: str = "ann", id: str = "c") -> Context:
    return await contexts.opened(home, wanted(owner, id))


async def test_those_who_open_a_context_at_once_have_the_same_one(home: LocalHome) -> None:
    found = await asyncio.gather(*(_opened(home) for _ in range(8)))
    assert len({(one.session_id, one.directory) for one in found}) == 1
    left = [p.name for p in Path(found[0].directory).parent.iterdir()]
    assert sorted(left) == ["context.json", "work"]


async def test_no_two_owners_and_contexts_share_a_place(home: LocalHome) -> None:
    names = [("a", "b c"), ("a b", "c"), ("a\0b", "c"), ("a", "b\0c"), ("a/b", "c"), ("a", "../b")]
    found = [await _opened(home, owner, id) for owner, id in names]
    assert len({one.directory for one in found}) == len(names)
    assert all(Path(one.directory).is_relative_to(home.data_dir / "contexts") for one in found)
    assert [one.session_id for one in contexts.of_owner(home.data_dir, "a b")] == [
        found[1].session_id
    ]


async def test_a_session_is_found_by_its_owner_alone(home: LocalHome) -> None:
    made = await _opened(home)
    assert contexts.find(home, "ann", made.session_id).id == "c"
    for owner, session in (("bob", made.session_id), ("ann", "ses_0mabc12345_deadbeef")):
        with pytest.raises(UnknownRunError):
            contexts.find(home, owner, session)


async def test_an_old_workspace_goes_and_the_next_message_has_a_fresh_one(home: LocalHome) -> None:
    old, new = await _opened(home, id="old"), await _opened(home, id="new")
    (Path(old.directory) / "x").write_text("x")
    record = Path(old.directory).parent / "context.json"
    before = time.time() - KEPT_S - 60
    os.utime(record, (before, before))
    assert contexts.clean(home, KEPT_S) == 1
    assert not Path(old.directory).exists()
    assert Path(new.directory).is_dir()
    again = await _opened(home, id="old")
    assert (again.session_id, again.directory) == (old.session_id, old.directory)
    assert not (Path(again.directory) / "x").exists()


async def test_a_directory_that_is_no_repository_is_refused(
    home: LocalHome, tmp_path: Path
) -> None:
    with pytest.raises(WorkspaceError, match="no git repository"):
        await contexts.opened(home, wanted("ann", "c", repository=str(tmp_path)))


async def test_the_outbox_gives_new_plain_files_and_no_others(
    home: LocalHome, tmp_path: Path
) -> None:
    work = Path((await _opened(home)).directory)
    (work / "outbox" / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (work / "outbox" / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(work / "outbox" / "pipe")
    (work / "outbox" / "old").write_text("old")
    os.utime(work / "outbox" / "old", (1, 1))
    (work / "outbox" / "new").write_text("new")
    (work / "outbox" / "large").write_bytes(b"x" * 5_000_000)
    found = await workspaces.take(home, str(work), 100.0, with_patch=True)
    assert [(one.name, one.content) for one in found.files] == [("new", b"new")]
    assert "1 files of the outbox" in found.notes[0]
    assert found.patch == b""


async def test_an_outbox_that_leads_elsewhere_gives_nothing(
    home: LocalHome, tmp_path: Path
) -> None:
    work = Path((await _opened(home)).directory)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("secret")
    (work / "outbox").symlink_to(tmp_path / "elsewhere")
    assert (await workspaces.take(home, str(work), 0.0, with_patch=False)).files == ()


async def test_a_file_that_comes_replaces_no_links_target(home: LocalHome, tmp_path: Path) -> None:
    work = Path((await _opened(home)).directory)
    (tmp_path / "mine").write_text("mine")
    (work / "inbox").mkdir()
    (work / "inbox" / "a").symlink_to(tmp_path / "mine")
    with pytest.raises(WorkspaceError):
        workspaces.put(home, str(work), (InboxFile(name="a", content=b"other"),))
    assert (tmp_path / "mine").read_text() == "mine"


async def test_the_patch_holds_what_was_committed_and_what_was_not(home: LocalHome) -> None:
    work = Path((await _opened(home)).directory)
    (work / "kept.bin").write_bytes(bytes(range(256)))
    script = "git add -A && git -c user.name=u -c user.email=u@x commit -qm one && echo two > b"
    process = await asyncio.create_subprocess_shell(script, cwd=work)
    assert await process.wait() == 0
    found = await workspaces.take(home, str(work), 0.0, with_patch=True)
    assert b"GIT binary patch" in found.patch
    assert b"+two" in found.patch


def test_what_the_head_is_asked_is_had_without_the_protocols_library() -> None:
    """Its node daemon answers for every cluster, with or without an ingress."""
    modules = ("contexts", "workspaces", "sessions", "recorded", "configured")
    program = "import sys; " + "; ".join(
        f"import codetether_ray.bootstrap.a2a.{name}" for name in modules
    )
    program += "; print([m for m in ('a2a', 'fastapi', 'grpc', 'ray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
