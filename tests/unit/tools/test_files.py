import os
import stat
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core.errors import ToolError
from codetether_ray.tools import read_file as reading

# -- read_file ------------------------------------------------------------------------------------


async def test_lines_come_with_their_numbers(desk: Any) -> None:
    desk.write("f", "one\r\n\r\n  three")
    assert await desk.call("read_file", path="f") == "   1 | one\n   2 | \n   3 |   three"


async def test_a_page_says_how_to_go_on(desk: Any) -> None:
    desk.write("f", "".join(f"{n}\n" for n in range(1, 11)))
    page = await desk.call("read_file", path="f", offset=3, limit=2)
    assert page == "   3 | 3\n   4 | 4\n[lines 3-4 of 10; go on with offset=5]"
    assert await desk.call("read_file", path="f", offset=9, limit=2) == "   9 | 9\n  10 | 10"
    with pytest.raises(ToolError, match="has 10 lines; offset 11 is past it"):
        await desk.call("read_file", path="f", offset=11)


async def test_long_lines_and_long_pages_are_cut_and_this_is_said(desk: Any) -> None:
    desk.write("f", "x" * 5000 + "\n" + ("y" * 1999 + "\n") * 100)
    page = await desk.call("read_file", path="f")
    assert "… [5,000 characters]" in page
    assert len(page) < 62_000
    last = int(page.rsplit("offset=", 1)[1].rstrip("]"))
    rest = await desk.call("read_file", path="f", offset=last)
    assert rest.startswith(f"{last:>4} | y")


async def test_a_huge_file_is_read_without_being_loaded(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_READ_WHOLE", 1000)
    monkeypatch.setattr(reading, "_HUGE_LINE", 100)
    desk.write("f", "é" * 3000 + "\n" + "".join(f"{n}\n" for n in range(2, 500)))
    page = await desk.call("read_file", path="f", offset=1, limit=3)
    assert page.endswith("\n   2 | 2\n   3 | 3\n[lines 1-3; go on with offset=4]")
    with pytest.raises(ToolError, match="only 499 lines"):
        await desk.call("read_file", path="f", offset=1000)


async def test_what_is_no_text_is_named(desk: Any) -> None:
    desk.write("picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    desk.write("binary", b"a\0b")
    desk.write("empty", "")
    with pytest.raises(ToolError, match="PNG picture of 28 bytes"):
        await desk.call("read_file", path="picture")
    with pytest.raises(ToolError, match="binary file of 3 bytes"):
        await desk.call("read_file", path="binary")
    assert await desk.call("read_file", path="empty") == "(empty file)"


async def test_a_missing_file_is_answered_with_near_names_or_a_way_to_look(desk: Any) -> None:
    desk.write("readme.md", "x")
    with pytest.raises(ToolError, match=r"there is readme\.md"):
        await desk.call("read_file", path="readme.txt")
    with pytest.raises(ToolError, match="look with glob"):
        await desk.call("read_file", path="no/such/file")
    with pytest.raises(ToolError, match="does not exist"):
        await desk.call("read_file", path="readme.md/x")


async def test_other_encodings_are_read(desk: Any) -> None:
    desk.write("latin", "é\n".encode("latin-1"))
    desk.write("wide", "é\n".encode("utf-16"))
    assert await desk.call("read_file", path="latin") == "   1 | é"
    assert await desk.call("read_file", path="wide") == "   1 | é"


# -- write_file -----------------------------------------------------------------------------------


async def test_a_file_is_made_with_its_directories(desk: Any) -> None:
    said = await desk.call("write_file", path="a/b/c.txt", content="é\n")
    assert said == "created a/b/c.txt (3 bytes)"
    assert desk.read("a/b/c.txt") == "é\n"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((desk.root / "a/b/c.txt").stat().st_mode) == 0o666 & ~mask


async def test_a_replaced_file_keeps_its_mode(desk: Any) -> None:
    desk.write("run.sh", "old").chmod(0o750)
    assert (await desk.call("write_file", path="run.sh", content="new")).startswith("replaced")
    assert stat.S_IMODE((desk.root / "run.sh").stat().st_mode) == 0o750
    assert await desk.call("write_file", path="run.sh", content="new") == "run.sh is already so"


async def test_a_reader_never_sees_half_a_file(desk: Any) -> None:
    file = desk.write("f", "old")
    with file.open() as reader:
        await desk.call("write_file", path="f", content="new")
        assert reader.read() == "old"
    assert [p.name for p in desk.root.iterdir()] == ["f"]


async def test_a_file_in_the_way_of_a_directory_is_told(desk: Any) -> None:
    desk.write("a", "x")
    with pytest.raises(ToolError, match="Not a directory"):
        await desk.call("write_file", path="a/b", content="x")
    assert desk.read("a") == "x"


# -- list_dir -------------------------------------------------------------------------------------


async def test_a_directory_is_listed_with_kinds(desk: Any) -> None:
    desk.write("b.txt", "")
    desk.write(".hidden", "")
    desk.write("a/x", "")
    desk.write(".git/config", "")
    (desk.root / "link").symlink_to("a")
    assert await desk.call("list_dir") == ".hidden\na/\nb.txt\nlink@"
    assert await desk.call("list_dir", path="link") == "x"
    (desk.root / "empty").mkdir()
    assert await desk.call("list_dir", path="empty") == "(empty directory)"
    with pytest.raises(ToolError, match="use read_file"):
        await desk.call("list_dir", path="b.txt")


async def test_a_full_directory_is_cut_and_this_is_said(desk: Any) -> None:
    for n in range(503):
        Path(desk.root / f"{n:03}").touch()
    listed = (await desk.call("list_dir")).split("\n")
    assert listed[-1] == "[503 entries; the first 500 are shown]"
