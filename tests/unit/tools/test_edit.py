import os
import stat
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import ToolError
from codetether_ray.tools import files
from codetether_ray.tools.text import FileText, Unified, decode

_many = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


async def _edit(desk: Any, before: str, old: str, new: str, **more: Any) -> str:
    desk.write("f", before)
    await desk.call("edit", path="f", old_string=old, new_string=new, **more)
    return str(desk.read("f"))


async def _refusal(desk: Any, before: str, old: str, new: str = "new", **more: Any) -> str:
    desk.write("f", before)
    with pytest.raises(ToolError) as caught:
        await desk.call("edit", path="f", old_string=old, new_string=new, **more)
    assert desk.read("f") == before
    return str(caught.value)


# -- exact ----------------------------------------------------------------------------------------


async def test_the_one_occurrence_is_replaced(desk: Any) -> None:
    assert await _edit(desk, "a\nb\nc\n", "b", "x\ny") == "a\nx\ny\nc\n"
    said = await desk.call("edit", path="f", old_string="y", new_string="z")
    assert said == "edited f (line 3)"


async def test_two_occurrences_are_refused_and_their_lines_named(desk: Any) -> None:
    said = await _refusal(desk, "x = 1\ny\nx = 1\n", "x = 1")
    assert "2 times, at lines 1, 3" in said
    assert "replace_all" in said


async def test_all_occurrences_are_replaced_on_request(desk: Any) -> None:
    assert await _edit(desk, "a a\nb a\n", "a", "aa", replace_all=True) == "aa aa\nb aa\n"


async def test_an_exact_match_is_preferred_to_loose_ones(desk: Any) -> None:
    before = "if x:\n    y  \n\nif x:\n    y\n"
    assert await _edit(desk, before, "    y\n", "    z\n") == "if x:\n    y  \n\nif x:\n    z\n"


@_many
@given(st.text("ab\n\r ", max_size=30), st.text("ab\n", min_size=1, max_size=4), st.text("xy\n"))
async def test_an_edit_replaces_exactly_what_was_found_and_nothing_else(
    desk: Any, before: str, old: str, new: str
) -> None:
    if old == new or before.count(old) != 1 or "\r" in before:
        return
    assert await _edit(desk, before, old, new) == before.replace(old, new)


@_many
@given(st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=8), st.data())
async def test_in_a_file_of_crlf_lines_all_lines_stay_so(
    desk: Any, lines: list[str], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(lines)))
    lines[at:at] = ["the one", "line"]
    before = "".join(f"{line}\r\n" for line in lines)
    after = await _edit(desk, before, "the one\nline\n", "now\nthree\nlines\n")
    lines[at : at + 2] = ["now", "three", "lines"]
    assert after == "".join(f"{line}\r\n" for line in lines)


@given(st.text("ab\r\n", max_size=20))
def test_places_in_a_text_of_unified_line_ends_are_found_in_the_original(text: str) -> None:
    unified = Unified(text)
    assert unified.text == text.replace("\r\n", "\n")
    assert unified.replace([], "x") == text
    for at in range(len(unified.text) + 1):
        split = unified.replace([(at, at)], "X")
        assert split.replace("X", "") == text
        assert split.replace("\r\n", "\n").index("X") == at


async def test_mixed_line_ends_are_kept_where_nothing_changed(desk: Any) -> None:
    after = await _edit(desk, "a\r\nb\nc\r\nd\n", "b\nc\n", "x\ny\n")
    assert after == "a\r\nx\r\ny\r\nd\n"
    assert await _edit(desk, "a\r\nb\nc\n", "b\n", "x\n") == "a\r\nx\nc\n"


# -- whatever the white space ---------------------------------------------------------------------


async def test_spaces_at_line_ends_do_not_matter(desk: Any) -> None:
    assert await _edit(desk, "a  \nb\t\nc\n", "a\nb\n", "x\n") == "x\nc\n"


async def test_indentation_does_not_matter_and_is_given_to_the_new_text(desk: Any) -> None:
    before = "class A:\n    def f(self):\n        return 1\n\n    x = 2\n"
    old = "def f(self):\n    return 1\n"
    new = "def f(self):\n    if True:\n        return 2\n    return 3\n"
    after = await _edit(desk, before, old, new)
    assert after == (
        "class A:\n    def f(self):\n        if True:\n            return 2\n        return 3\n"
        "\n    x = 2\n"
    )


async def test_spaces_become_tabs_where_the_file_has_tabs(desk: Any) -> None:
    before = "func f() {\n\tif x {\n\t\ty()\n\t}\n}\n"
    old = "    if x {\n        y()\n    }\n"
    new = "    if x {\n        if z {\n            y()\n        }\n    }\n"
    after = await _edit(desk, before, old, new)
    assert after == "func f() {\n\tif x {\n\t\tif z {\n\t\t\ty()\n\t\t}\n\t}\n}\n"


async def test_spaces_within_a_line_do_not_matter(desk: Any) -> None:
    assert await _edit(desk, "x  =  f(a,   b) + 1\n", "f(a, b)", "g(b)") == "x  =  g(b) + 1\n"


async def test_two_loose_matches_are_refused_and_their_lines_named(desk: Any) -> None:
    said = await _refusal(desk, "  a\n  b\n\n    a\n    b\n", "a\nb\n", "c\n")
    assert "at lines 1, 4" in said


async def test_a_loose_match_is_said(desk: Any) -> None:
    desk.write("f", "  a = 1\n  b = 2\n")
    said = await desk.call("edit", path="f", old_string="a = 1\nb = 2\n", new_string="c\n")
    assert "white space differed" in said
    assert desk.read("f") == "  c\n"


# -- by its ends ----------------------------------------------------------------------------------

_BLOCK = "def total(items):\n    result = 0\n    for item in items:\n        result += item\n"
_FILE = f"import x\n\n{_BLOCK}    return result\n\n\nend = 1\n"


async def test_a_block_is_found_by_its_first_and_last_line_and_this_is_said(desk: Any) -> None:
    desk.write("f", _FILE)
    old = f"{_BLOCK.replace('result = 0', 'result = 0.0')}    return result\n"
    said = await desk.call(
        "edit", path="f", old_string=old, new_string="def total(items):\n    return sum(items)\n"
    )
    assert "first and last lines" in said
    assert desk.read("f") == ("import x\n\ndef total(items):\n    return sum(items)\n\n\nend = 1\n")


async def test_a_block_with_another_inside_is_not_the_one(desk: Any) -> None:
    old = "def total(items):\n    open the door\n    and let it in\n    please\n    return result\n"
    assert "not in the file" in await _refusal(desk, _FILE, old)


async def test_two_such_blocks_are_refused(desk: Any) -> None:
    old = f"{_BLOCK.replace('result = 0', 'result = 0.0')}    return result\n"
    said = await _refusal(desk, _FILE + _FILE, old)
    assert "at lines 3, 13" in said


# -- not found ------------------------------------------------------------------------------------


async def test_what_is_not_there_is_answered_with_the_most_similar_lines(desk: Any) -> None:
    said = await _refusal(desk, "a\nvalue = compute(1)\nb\n", "value = compute(2, 3)")
    assert "   2 | value = compute(1)" in said


async def test_line_numbers_of_read_file_are_recognised(desk: Any) -> None:
    said = await _refusal(desk, "a\nb\n", "   1 | a\n   2 | b")
    assert "line numbers" in said


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("", "x", "write_file"), ("a", "a", "the same"), ("\n\n\n", "x", "not in the file")],
)
async def test_what_makes_no_sense_is_refused(desk: Any, old: str, new: str, expected: str) -> None:
    assert expected in await _refusal(desk, "a\n", old, new)


async def test_a_missing_file_is_answered_with_near_names(desk: Any) -> None:
    desk.write("src/main.py", "x")
    with pytest.raises(ToolError, match=r"src/mian\.py does not exist; there is src/main\.py"):
        await desk.call("edit", path="src/mian.py", old_string="a", new_string="b")


# -- the file stays what it was -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("é = 1\n".encode("latin-1"), "é = 2\n".encode("latin-1")),
        (b"\xef\xbb\xbfx = 1\r\n", b"\xef\xbb\xbfx = 2\r\n"),
        ("x = 1\n".encode("utf-16"), "x = 2\n".encode("utf-16")),
        (b"x = 1", b"x = 2"),
    ],
    ids=["latin-1", "utf-8 with mark", "utf-16", "no line end"],
)
async def test_encoding_mark_and_ends_are_kept(desk: Any, before: bytes, after: bytes) -> None:
    file = desk.write("f", before)
    await desk.call("edit", path="f", old_string="= 1", new_string="= 2")
    assert file.read_bytes() == after


async def test_a_character_that_the_encoding_lacks_is_refused(desk: Any) -> None:
    file = desk.write("f", "é = 1\n".encode("latin-1"))
    with pytest.raises(ToolError, match="latin-1"):
        await desk.call("edit", path="f", old_string="1", new_string="€")
    assert file.read_bytes() == "é = 1\n".encode("latin-1")


async def test_the_mode_is_kept_and_no_other_name_of_the_file_is_touched(desk: Any) -> None:
    file = desk.write("f", "a\n")
    file.chmod(0o755)
    os.link(file, desk.root / "twin")
    await desk.call("edit", path="f", old_string="a", new_string="b")
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    assert desk.read("twin") == "a\n"
    assert sorted(p.name for p in desk.root.iterdir()) == ["f", "twin"]


async def test_a_binary_file_is_not_edited(desk: Any) -> None:
    desk.write("f", b"a\0b")
    with pytest.raises(ToolError, match="binary"):
        await desk.call("edit", path="f", old_string="a", new_string="b")


@given(st.binary(max_size=40))
def test_a_text_is_written_back_as_it_was_read(data: bytes) -> None:
    text = decode(data)
    if text is None:
        assert b"\0" in data
    else:
        assert text.encode() == data
        assert text.with_text(text.text) == text
        assert isinstance(text, FileText)


async def test_a_secret_that_the_model_saw_masked_is_not_overwritten(desk: Any) -> None:
    before = "KEY=sk-ant-api03-abcdefgh12345678\nDEBUG=0\n"
    assert "stands for a secret" in await _refusal(
        desk, before, "KEY=[masked]", "KEY=[masked]\nX=1"
    )
    assert "stands for a secret" in await _refusal(desk, before, "DEBUG=0", "KEY=[masked]")
    with pytest.raises(ToolError, match="destroy the secret"):
        await desk.call("write_file", path="f", content="KEY=[masked]\nDEBUG=1\n")
    assert desk.read("f") == before
    assert await _edit(desk, "a = '[masked]'\n", "a =", "b =") == "b = '[masked]'\n"


# -- multiedit ------------------------------------------------------------------------------------


async def test_edits_of_several_files_build_on_each_other(desk: Any) -> None:
    desk.write("a", "one\n")
    desk.write("b", "two\n")
    said = await desk.call(
        "multiedit",
        edits=[
            {"path": "a", "old_string": "one", "new_string": "uno\ndos"},
            {"path": "b", "old_string": "two", "new_string": "tres"},
            {"path": "./a", "old_string": "dos", "new_string": "cuatro"},
        ],
    )
    assert said == "edited a (line 1)\nedited b (line 1)\nedited a (line 2)"
    assert desk.read("a") == "uno\ncuatro\n"
    assert desk.read("b") == "tres\n"


async def test_when_one_edit_fails_none_is_made_and_it_is_named(desk: Any) -> None:
    desk.write("a", "one\n")
    desk.write("b", "two\n")
    edits = [
        {"path": "a", "old_string": "one", "new_string": "1"},
        {"path": "b", "old_string": "three", "new_string": "3"},
    ]
    with pytest.raises(ToolError, match=r"edit 2 \(b\)[\s\S]*Nothing was changed"):
        await desk.call("multiedit", edits=edits)
    assert desk.read("a") == "one\n"


async def test_when_a_file_cannot_be_written_all_are_as_they_were(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("a", "one\n")
    desk.write("b", "two\n")
    real: Callable[..., None] = files.replace_file

    def failing(found: Any, data: bytes, mode: int | None) -> None:
        if found.relative == "b":
            raise OSError(28, "No space left on device")
        real(found, data, mode)

    monkeypatch.setattr(files, "replace_file", failing)
    edits = [
        {"path": "a", "old_string": "one", "new_string": "1"},
        {"path": "b", "old_string": "two", "new_string": "2"},
    ]
    with pytest.raises(ToolError, match="b: No space left on device; nothing was changed"):
        await desk.call("multiedit", edits=edits)
    assert desk.read("a") == "one\n"
    assert desk.read("b") == "two\n"
