import difflib
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import ToolError
from codetether_ray.tools.patch import parse
from codetether_ray.tools.patching import apply

_line = st.sampled_from(["a", "b", "c", "", " ", "-- x", "++ y", "@@ z", "\\ odd", "d\u2028e"])
_lines = st.lists(_line, max_size=14)
_texts = st.tuples(_lines, st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
    lambda t: t[1].join(t[0]) + (t[1] if t[2] and t[0] else "")
)


def diff(before: str, after: str, name: str = "f", context: int = 3) -> str:
    """A unified diff as git would print it."""
    old, new = _split(before), _split(after)
    out = []
    for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", n=context, lineterm="\n"):
        out.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(out)


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    ended = [f"{line}\n" for line in lines[:-1]]
    return ended + ([lines[-1]] if lines[-1] else [])


def patched(text: str, patch: str) -> str:
    [one] = parse(patch)
    return apply(text, one)[0]


async def _refusal(desk: Any, patch: str) -> str:
    before = {p: p.read_bytes() for p in desk.root.rglob("*") if p.is_file()}
    with pytest.raises(ToolError) as caught:
        await desk.call("apply_patch", patch=patch)
    assert {p: p.read_bytes() for p in desk.root.rglob("*") if p.is_file()} == before
    return str(caught.value)


# -- round trips ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(_texts, _texts, st.integers(1, 3))
def test_a_diff_of_two_texts_makes_one_into_the_other(
    before: str, after: str, context: int
) -> None:
    patch = diff(before, after, context=context)
    if patch:
        assert patched(before, patch) == after


@settings(max_examples=40, deadline=None)
@given(_lines, _lines, st.integers(1, 3))
def test_a_file_of_crlf_lines_stays_so_under_a_patch_of_plain_lines(
    before: list[str], after: list[str], context: int
) -> None:
    plain = ["".join(f"{line}\n" for line in lines) for lines in (before, after)]
    patch = diff(*plain, context=context)
    if patch and before:
        result = patched(plain[0].replace("\n", "\r\n"), patch)
        assert result == plain[1].replace("\n", "\r\n")


@settings(max_examples=40, deadline=None)
@given(_lines, _lines, st.lists(st.sampled_from(["new 1", "new 2"]), max_size=4))
def test_a_patch_for_a_file_that_has_moved_on_is_right_or_refused(
    before: list[str], after: list[str], above: list[str]
) -> None:
    patch = diff("".join(f"{x}\n" for x in before), "".join(f"{x}\n" for x in after))
    unique = {line for line in before if before.count(line) > 1}
    if not patch or not before or unique:
        return
    text = "".join(f"{line}\n" for line in [*above, *before])
    try:
        result = patched(text, patch)
    except ToolError:
        return
    assert result == "".join(f"{line}\n" for line in [*above, *after])


@settings(max_examples=40, deadline=None)
@given(_lines, _lines, st.integers(1, 3))
@example([""], ["a", ""], 1)
def test_a_patch_without_line_numbers_is_right_or_refused(
    before: list[str], after: list[str], context: int
) -> None:
    plain = ["".join(f"{line}\n" for line in lines) for lines in (before, after)]
    hunks: list[str] = []
    for line in diff(*plain, context=context).split("\n")[2:-1]:
        hunks.append("@@" if line.startswith("@@ -") else line)
    if not hunks:
        return
    body = "\n".join(hunks)
    try:
        result = patched(plain[0], f"*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch")
    except ToolError:
        return
    assert result == plain[1]


@settings(max_examples=40, deadline=None)
@given(_texts, _texts, st.integers(-2, 3), st.integers(-2, 3))
def test_wrong_counts_in_a_header_are_right_or_refused(
    before: str, after: str, old: int, new: int
) -> None:
    lines = diff(before, after).split("\n")
    headers = [i for i, line in enumerate(lines) if line.startswith("@@ -")]
    if len(headers) != 1 or "\r" in before + after or not before:
        return
    at = headers[0]
    minus, plus = lines[at].split()[1:3]
    start, _, count = minus.partition(",")
    begin, _, counted = plus.partition(",")
    lines[at] = (
        f"@@ {start},{max(0, int(count or 1) + old)} {begin},{max(0, int(counted or 1) + new)} @@"
    )
    try:
        result = patched(before, "\n".join(lines))
    except ToolError:
        return
    assert result == after


# -- where a hunk goes ----------------------------------------------------------------------------

_HUNK = "--- a/f\n+++ b/f\n@@ -{at},3 +{at},3 @@\n one\n-two\n+2\n three\n"


def test_a_hunk_is_found_where_its_lines_are_and_this_is_said() -> None:
    [patch] = parse(_HUNK.format(at=1))
    text, notes = apply("x\ny\none\ntwo\nthree\n", patch)
    assert text == "x\ny\none\n2\nthree\n"
    assert notes == ["hunk 1: found at line 3"]


def test_the_line_number_decides_between_equal_places() -> None:
    block = "one\ntwo\nthree\n"
    assert patched(block * 3, _HUNK.format(at=4)) == block + block.replace("two", "2") + block


def test_equal_places_that_no_number_decides_are_refused_and_named() -> None:
    block = "one\ntwo\nthree\n"
    with pytest.raises(ToolError, match=r"hunk 1 fits at several places \(lines 2, 5\)"):
        patched("x\n" + block * 2, _HUNK.format(at=9))


def test_two_outer_context_lines_may_differ_and_this_is_said() -> None:
    [patch] = parse("--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n a\n b\n c\n-two\n+2\n d\n")
    text, notes = apply("A\nb\nc\ntwo\nd\n", patch)
    assert text == "A\nb\nc\n2\nd\n"
    assert notes == ["hunk 1: 1 outer context lines differed"]


def test_a_removed_line_that_differs_is_never_removed() -> None:
    with pytest.raises(ToolError, match="at line 2 it expects 'two', the file has 'TWO'"):
        patched("one\nTWO\nthree\n", _HUNK.format(at=1))


def test_a_hunk_of_added_lines_alone_has_no_place_to_check() -> None:
    with pytest.raises(ToolError, match="only added lines"):
        patched("a\nb\n", "--- a/f\n+++ b/f\n@@ -1,0 +2 @@\n+x\n")


def test_spaces_at_line_ends_may_differ_and_the_context_stays_as_it_is() -> None:
    assert patched("one  \ntwo\t\nthree\n", _HUNK.format(at=1)) == "one  \n2\nthree\n"


def test_a_section_tells_where_a_hunk_belongs() -> None:
    text = "def f():\n    x = 1\n    return x\n\ndef g():\n    x = 1\n    return x\n"
    patch = (
        "*** Begin Patch\n*** Update File: f\n@@ def g():\n-    x = 1\n+    x = 2\n*** End Patch"
    )
    assert patched(text, patch) == "x = 2".join(text.rsplit("x = 1", 1))


def test_nested_sections_tell_where_a_hunk_belongs() -> None:
    text = "class A:\n  def f():\n    x\nclass B:\n  def f():\n    x\n"
    patch = "*** Begin Patch\n*** Update File: f\n@@ class B:\n@@   def f():\n-    x\n+    y\n"
    patch += "*** End Patch"
    assert patched(text, patch) == "class A:\n  def f():\n    x\nclass B:\n  def f():\n    y\n"


def test_a_section_that_is_not_there_is_said() -> None:
    patch = "*** Begin Patch\n*** Update File: f\n@@ def h():\n-    z\n+    y\n*** End Patch"
    with pytest.raises(ToolError, match=r"hunk 1: no line reads 'def h\(\):'"):
        patched("def f():\n    x\n", patch)


def test_end_of_file_decides_between_equal_places() -> None:
    patch = "*** Begin Patch\n*** Update File: f\n@@\n-x\n+y\n*** End of File\n*** End Patch"
    assert patched("x\na\nx\n", patch) == "x\na\ny\n"


def test_added_lines_alone_go_to_the_end_of_an_unnumbered_patch() -> None:
    patch = "*** Begin Patch\n*** Update File: f\n@@\n+x\n*** End Patch"
    assert patched("a\n", patch) == "a\nx\n"
    assert patched("a", patch) == "a\nx"


def test_a_line_end_that_the_patch_does_not_speak_of_stays_as_it_is() -> None:
    assert patched("one\ntwo\nthree", _HUNK.format(at=1)) == "one\n2\nthree"


@pytest.mark.parametrize("header", ["@@", "@@ ... @@", "@@ -1 @@"])
def test_a_unified_diff_without_line_numbers_is_understood(header: str) -> None:
    patch = f"--- a/f\n+++ b/f\n{header}\n one\n-two\n+2\n"
    assert patched("one\ntwo\n", patch) == "one\n2\n"


def test_lost_spaces_of_empty_context_lines_are_understood() -> None:
    patch = "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n one\n\n-two\n+2\n"
    assert patched("one\n\ntwo\n", patch) == "one\n\n2\n"


def test_no_line_of_a_hunk_that_is_longer_than_its_header_says_is_lost() -> None:
    patch = "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-one\n+1\n\n-two\n+2\n"
    assert patched("one\n\ntwo\n", patch) == "1\n\n2\n"


def test_a_fence_and_words_around_a_patch_do_not_matter() -> None:
    patch = f"```diff\n{_HUNK.format(at=1)}```\n"
    assert patched("one\ntwo\nthree\n", patch) == "one\n2\nthree\n"
    mail = f"Subject: x\n\n- did it\n---\n f | 2 +-\n\n{_HUNK.format(at=1)}-- \n2.39.0\n\n"
    assert patched("one\ntwo\nthree\n", mail) == "one\n2\nthree\n"
    heredoc = "*** Begin Patch\n*** Update File: f\n@@\n-two\n+2\n*** End Patch\nEOF\n"
    assert patched("one\ntwo\n", f"apply_patch <<'EOF'\n{heredoc}") == "one\n2\n"


# -- files ----------------------------------------------------------------------------------------


async def test_files_are_added_changed_moved_and_deleted_together(desk: Any) -> None:
    desk.write("old.py", "a = 1\nb = 2\n").chmod(0o755)
    desk.write("gone.py", "x\n")
    desk.write("keep.py", "one\ntwo\n")
    patch = """*** Begin Patch
*** Add File: new/deep.py
+first
+
+last
*** Update File: old.py
*** Move to: new/name.py
@@
-a = 1
+a = 3
*** Delete File: gone.py
*** Update File: keep.py
@@
 one
-two
+2
*** End Patch"""
    said = await desk.call("apply_patch", patch=patch)
    assert said.split("\n") == [
        "added new/deep.py",
        "moved old.py to new/name.py",
        "deleted gone.py",
        "updated keep.py",
    ]
    assert desk.read("new/deep.py") == "first\n\nlast\n"
    assert desk.read("new/name.py") == "a = 3\nb = 2\n"
    assert stat.S_IMODE((desk.root / "new/name.py").stat().st_mode) == 0o755
    assert desk.read("keep.py") == "one\n2\n"
    assert sorted(p.name for p in desk.root.iterdir()) == ["keep.py", "new"]


async def test_a_diff_of_git_is_applied_whole(desk: Any, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    before = {
        "plain": "a\nb\nc\n",
        "with space": "a\nb\n",
        "ümlaut": "ä\n",
        "moved": "".join(f"{n}\n" for n in range(30)),
        "gone": "x\n",
        "empty": "",
        "open": "a\nb",
        "script": "echo\n",
        "dos": "a\r\nb\r\n",
    }
    for name, text in before.items():
        (origin / name).write_bytes(text.encode())
        desk.write(name, text)
    (desk.root / "picture").write_bytes(b"\x89PNG\0")
    (origin / "picture").write_bytes(b"\x89PNG\0")

    def git(*words: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false")
        done = subprocess.run(
            ["git", *identity, *words], cwd=origin, capture_output=True, check=True
        )
        return done.stdout.decode()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "before")
    (origin / "plain").write_text("a\nB\nc\nd\n")
    (origin / "with space").write_text("a\nb\nc\n")
    (origin / "ümlaut").write_text("ö\n")
    git("mv", "moved", "renamed")
    git("mv", "picture", "photo")
    (origin / "renamed").write_text("".join(f"{n}\n" for n in range(31)))
    (origin / "gone").unlink()
    (origin / "empty").write_text("full\n")
    (origin / "open").write_text("a\nb\nc")
    (origin / "script").chmod(0o755)
    (origin / "dos").write_bytes(b"a\r\nc\r\n")
    (origin / "fresh").write_text("new")
    (origin / "void").write_text("")
    git("add", "-A")
    await desk.call("apply_patch", patch=git("diff", "-M", "--cached"))

    def tree(top: Path) -> dict[str, tuple[bytes, bool]]:
        files = [p for p in top.iterdir() if p.is_file()]
        return {p.name: (p.read_bytes(), bool(p.stat().st_mode & 0o100)) for p in files}

    assert tree(desk.root) == tree(origin)


async def test_when_one_hunk_fails_nothing_is_changed_and_it_is_named(desk: Any) -> None:
    desk.write("a", "one\ntwo\n")
    desk.write("b", "x\ny\n")
    said = await _refusal(
        desk,
        "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        "--- a/b\n+++ b/b\n@@ -1 +1 @@\n-x\n+X\n@@ -2 +2 @@\n-z\n+Z\n",
    )
    assert said.startswith("b: hunk 2 does not apply")
    assert "Nothing was changed" in said


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ("", "patch"),
        ("hello", "no patch found"),
        ("*** Begin Patch\n*** End Patch", "empty"),
        ("*** Begin Patch\n*** Update File: a\n@@\n-one\n+1\n", "cut off"),
        ("*** Begin Patch\n*** Update File: a\n*** End Patch", "no hunk"),
        ("*** Begin Patch\n*** Change File: a\n*** End Patch", "none of"),
        ("*** Begin Patch\n*** Add File: new\nx\n*** End Patch", "begins with +"),
        ("*** Begin Patch\n*** Add File: a\n+x\n*** End Patch", "exists already"),
        ("*** Begin Patch\n*** Delete File: nope\n*** End Patch", "does not exist"),
        ("*** Begin Patch\n*** Update File: nope\n@@\n-a\n+b\n*** End Patch", "does not exist"),
        (
            "*** Begin Patch\n*** Update File: a\n*** Move to: b\n*** End Patch",
            "nothing can be moved",
        ),
        ("--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n", "exists already"),
        ("--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n", "more than the patch deletes"),
        ("--- a/a\n+++ b/a\n", "no hunk"),
        ("@@ -1 +1 @@\n-one\n+1\n", "before any"),
        ("diff --git a/p b/p\nindex 1..2\nGIT binary patch\nliteral 3\n", "binary"),
        (
            "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+x\n",
            "120000",
        ),
    ],
)
async def test_what_cannot_be_applied_is_refused(desk: Any, patch: str, expected: str) -> None:
    desk.write("a", "one\ntwo\n")
    desk.write("b", "x\n")
    assert expected in await _refusal(desk, patch)


async def test_the_target_of_a_link_is_not_deleted_in_its_place(desk: Any) -> None:
    desk.write("a", "one\n")
    (desk.root / "alias").symlink_to("a")
    said = await _refusal(desk, "*** Begin Patch\n*** Delete File: alias\n*** End Patch")
    assert "symbolic link" in said


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_texts, _texts, _texts)
async def test_two_files_are_patched_both_or_not_at_all(
    desk: Any, before: str, after: str, other: str
) -> None:
    desk.write("f", before)
    desk.write("g", other)
    patch = diff(before, after, "f") + diff(before, after, "g")
    if not patch:
        return
    try:
        await desk.call("apply_patch", patch=patch)
    except ToolError:
        assert (desk.read("f"), desk.read("g")) == (before, other)
    else:
        assert desk.read("f") == after
        assert desk.read("g") == after or other != before
