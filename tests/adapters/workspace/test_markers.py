"""Which lines of a half-merged file are conflict markers."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.workspace.markers import allowed_markers, left_markers

LABEL = "codetether/swm/two"
HUNK = f"<<<<<<< HEAD\nleft\n=======\nright\n>>>>>>> {LABEL}\n"
_LINES = st.lists(
    st.sampled_from(
        ["a\n", "b\n", "c\n", "Title\n", "=======\n", "<<<<<<< HEAD\n", ">>>>>>> other\n", "\n"]
    ),
    max_size=12,
)


def left(path: str, half: str, resolved: str) -> tuple[str, ...]:
    return left_markers(path, resolved.encode(), allowed_markers(half.encode(), LABEL))


def test_an_untouched_hunk_has_all_its_markers() -> None:
    assert len(left("x.py", HUNK, HUNK)) == 3


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", "=======", f">>>>>>> {LABEL}"])
def test_one_forgotten_marker_is_found(line: str) -> None:
    assert left("x.py", f"a\n{HUNK}b\n", f"a\nleft\n{line}\nright\nb\n") == (line,)


def test_a_resolved_file_has_none() -> None:
    assert left("x.py", HUNK, "left\nright\n") == ()
    assert left("x.py", HUNK, "") == ()


def test_an_underlined_heading_is_no_marker() -> None:
    page = f"Heading\n=======\n{HUNK}"
    assert left("x.py", page, "Heading\n=======\nleft\n") == ()
    assert left("README.md", page, "Heading\n=======\nLeftish\n=======\nleft\n") == ()
    assert left("x.py", page, "Heading\n=======\nleft\n=======\nright\n") == ("=======",)


def test_lines_of_the_files_own_that_look_like_markers_may_stay() -> None:
    fixture = "<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> sample\n"
    assert left("test_merge.py", fixture + HUNK, fixture + "left\n") == ()
    assert left("test_merge.py", fixture + HUNK, fixture + HUNK) != ()


def test_windows_lines_and_renamed_paths_are_seen() -> None:
    half = f"<<<<<<< HEAD:old.py\r\nl\r\n=======\r\nr\r\n>>>>>>> {LABEL}:new.py\r\n"
    assert len(left("x.py", half, half)) == 3
    assert left("x.py", half, "l\r\nr\r\n") == ()


def test_longer_markers_are_seen() -> None:
    half = f"{'<' * 20} HEAD\nl\n{'=' * 20}\nr\n{'>' * 20} {LABEL}\n"
    assert len(left("x.py", half, half)) == 3


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(base=_LINES, ours=_LINES, theirs=_LINES)
def test_what_git_calls_a_conflict_is_one_until_a_side_is_taken(
    tmp_path: Path, base: list[str], ours: list[str], theirs: list[str]
) -> None:
    half, conflicts = _merge(tmp_path, base, ours, theirs, "--diff-algorithm=myers")
    allowed = allowed_markers(half, LABEL)
    assert bool(left_markers("x.py", half, allowed)) == bool(conflicts)
    for side in ("--ours", "--theirs", "--union"):
        resolved, _ = _merge(tmp_path, base, ours, theirs, side)
        assert left_markers("x.py", resolved, allowed) == ()


def _merge(
    room: Path, base: list[str], ours: list[str], theirs: list[str], option: str
) -> tuple[bytes, int]:
    for name, lines in (("base", base), ("ours", ours), ("theirs", theirs)):
        (room / name).write_text("".join(lines))
    labels = ("-L", "HEAD", "-L", "base", "-L", LABEL)
    options = () if option.startswith("--diff") else (option,)
    done = subprocess.run(
        ["git", "merge-file", "-p", *options, *labels, "ours", "base", "theirs"],
        cwd=room, capture_output=True,
    )  # fmt: skip
    return done.stdout, done.returncode
