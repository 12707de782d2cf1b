import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import PathEscapesError, ToolError
from codetether_ray.tools.files import replace_file
from codetether_ray.tools.paths import open_file, place


@pytest.fixture
def outside(desk: Any) -> Path:
    """A file that no tool may see; links to it, to its directory and to nothing beside it."""
    directory = desk.root.parent / "outside"
    directory.mkdir()
    (directory / "secret").write_text("secret\n")
    (desk.root / "link").symlink_to(directory / "secret")
    (desk.root / "dir").symlink_to(directory)
    (desk.root / "dangling").symlink_to(directory / "new")
    (desk.root / "chain").symlink_to("link")
    desk.write("sub/file", "inside\n")
    (desk.root / "up").symlink_to("..")
    return directory


_WAYS_OUT = [
    "/etc/x",
    "../x",
    "sub/../../x",
    "link",
    "dir/secret",
    "dir/new",
    "dangling",
    "chain",
    "up/x",
    "up/outside/secret",
    "~/x",
    "sub/../link",
    "../outside/secret",
]
_PATCH = "*** Begin Patch\n*** Add File: {}\n+x\n*** End Patch"
_DIFF = "--- {0}\n+++ {0}\n@@ -1 +1 @@\n-secret\n+x\n"
_CALLS: dict[str, Any] = {
    "write_file": lambda p: {"path": p, "content": "x"},
    "edit": lambda p: {"path": p, "old_string": "secret", "new_string": "x"},
    "multiedit": lambda p: {"edits": [{"path": p, "old_string": "secret", "new_string": "x"}]},
    "apply_patch": lambda p: {"patch": _PATCH.format(p)},
    "read_file": lambda p: {"path": p},
    "list_dir": lambda p: {"path": p},
    "grep": lambda p: {"pattern": "secret", "path": p},
    "codesearch": lambda p: {"pattern": "secret", "path": p},
    "glob": lambda p: {"pattern": "*", "path": p},
    "bash": lambda p: {"command": "true", "cwd": p},
}


def _tree(top: Path) -> dict[str, bytes | str]:
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("tool", _CALLS)
async def test_a_path_that_leaves_the_workspace_is_refused_and_nothing_is_written(
    desk: Any, outside: Path, tool: str
) -> None:
    before = _tree(desk.root.parent)
    for path in _WAYS_OUT:
        with pytest.raises(ToolError, match="outside the workspace"):
            await desk.call(tool, **_CALLS[tool](path))
    assert _tree(desk.root.parent) == before
    assert not Path("/etc/x").exists()


@pytest.mark.parametrize("pattern", [_DIFF, "rename"])
async def test_a_patch_cannot_change_or_move_what_is_outside(
    desk: Any, outside: Path, pattern: str
) -> None:
    before = _tree(desk.root.parent)
    move = "*** Begin Patch\n*** Update File: sub/file\n*** Move to: {}\n*** End Patch"
    patch = (move if pattern == "rename" else pattern).format("../outside/secret")
    with pytest.raises(ToolError, match="outside the workspace"):
        await desk.call("apply_patch", patch=patch)
    assert _tree(desk.root.parent) == before


async def test_a_glob_cannot_leave_either(desk: Any) -> None:
    for pattern in ("/etc/*", "../*", "sub/../../*", "~/*"):
        with pytest.raises(PathEscapesError):
            await desk.call("glob", pattern=pattern)


async def test_links_inside_and_a_root_reached_by_a_link_are_fine(desk: Any) -> None:
    desk.write("sub/file", "inside\n")
    (desk.root / "inner").symlink_to("sub")
    (desk.root / "alias").symlink_to("sub/file")
    other = desk.root.parent / "other"
    other.symlink_to(desk.root)
    desk.with_(root=other)
    assert "inside" in await desk.call("read_file", path="inner/file")
    assert "inside" in await desk.call("read_file", path=str(other / "sub/file"))
    assert "inside" in await desk.call("read_file", path=str(desk.root / "sub/file"))
    await desk.call("edit", path="alias", old_string="inside", new_string="changed")
    assert desk.read("sub/file") == "changed\n"
    assert (desk.root / "alias").is_symlink()


@pytest.mark.parametrize("tool", ["write_file", "edit", "apply_patch", "multiedit"])
async def test_what_belongs_to_git_is_not_written(desk: Any, tool: str) -> None:
    desk.write(".git/config", "secret\n")
    for path in (".git", ".git/config", ".git/hooks/pre-commit", "sub/.GIT/x"):
        with pytest.raises(ToolError, match="git"):
            await desk.call(tool, **_CALLS[tool](path))
    assert desk.read(".git/config") == "secret\n"


async def test_a_directory_is_no_file(desk: Any) -> None:
    desk.write("sub/file", "x")
    for path in ("", ".", "sub/", "sub/."):
        with pytest.raises(ToolError, match="directory"):
            await desk.call("write_file", path=path, content="x")
        with pytest.raises(ToolError, match="directory"):
            await desk.call("read_file", path=path or ".")


async def test_links_in_a_circle_and_names_that_are_none_are_refused(desk: Any) -> None:
    (desk.root / "a").symlink_to("b")
    (desk.root / "b").symlink_to("a")
    for path in ("a", "a/x", "x\0y", "n" * 300):
        with pytest.raises(ToolError):
            await desk.call("read_file", path=path)
        with pytest.raises(ToolError):
            await desk.call("write_file", path=path, content="x")


def test_a_link_put_there_after_the_check_is_not_followed(desk: Any) -> None:
    outside = desk.root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret\n")
    desk.write("sub/file", "inside\n")
    checked = place(desk.root, "sub/file")
    shutil.rmtree(desk.root / "sub")
    (desk.root / "sub").symlink_to(outside)
    with pytest.raises(PathEscapesError):
        open_file(checked)
    with pytest.raises(PathEscapesError):
        replace_file(checked, b"x", None)
    assert (outside / "file").read_text() == "secret\n"


def test_a_file_replaced_by_a_link_after_the_check_is_not_followed(desk: Any) -> None:
    target = desk.root.parent / "target"
    target.write_text("secret\n")
    file = desk.write("file", "inside\n")
    checked = place(desk.root, "file")
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(PathEscapesError):
        open_file(checked)
    replace_file(checked, b"x", None)
    assert target.read_text() == "secret\n"
    assert not file.is_symlink()


async def test_a_pipe_or_device_is_not_waited_for(desk: Any) -> None:
    os.mkfifo(desk.root / "pipe")
    with pytest.raises(ToolError, match="not a regular file"):
        await desk.call("read_file", path="pipe")
    with pytest.raises(ToolError, match="not a regular file"):
        await desk.call("edit", path="pipe", old_string="a", new_string="b")


@given(st.text(st.sampled_from("ab./~"), max_size=20))
def test_no_spelling_leaves_the_root(path: str) -> None:
    root = Path("/nowhere/to/be/found")
    try:
        found = place(root, path)
    except ToolError:
        return
    assert found.path == root or root in found.path.parents
