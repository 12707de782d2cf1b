"""A PRD's file: locks, links, permissions, and others who write it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codetether_ray.bootstrap.ralph.prd_file import PrdFile, read_prd_file
from codetether_ray.core.errors import PrdBusyError, PrdError, PrdFileError, PrdGoneError
from codetether_ray.ralph.prd_text import PrdText

STORY = {"id": "a", "title": "t", "description": "d", "passes": False}


def text(*ids: str) -> str:
    stories = [{**STORY, "id": id} for id in ids]
    return json.dumps({"project": "p", "feature": "f", "user_stories": stories}, indent=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    place = tmp_path / "work" / "prd.json"
    place.write_text(text("a", "b"))
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def passing(id: str):
    return lambda prd: prd.passed([id])


def test_a_save_replaces_the_file_and_leaves_nothing_beside_it(path: Path, data: Path) -> None:
    before, inode = path.read_text(), path.stat().st_ino
    with PrdFile(path, data) as file:
        saved = file.save(passing("b"))
        assert file.prd.passed == saved.prd.passed == {"b"}
    parts = before.rsplit("false", 1)
    assert path.read_text() == "true".join(parts)
    assert path.stat().st_ino != inode
    assert [p.name for p in path.parent.iterdir()] == ["prd.json"]


def test_a_save_that_changes_nothing_writes_nothing(path: Path, data: Path) -> None:
    with PrdFile(path, data) as file:
        inode = path.stat().st_ino
        file.save(lambda prd: prd)
    assert path.stat().st_ino == inode


def test_permissions_and_a_symlink_stay(path: Path, data: Path) -> None:
    path.chmod(0o640)
    link = path.parent.parent / "link.json"
    link.symlink_to(path)
    with PrdFile(link, data) as file:
        file.save(passing("a"))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_prd_file(path).prd.passed == {"a"}


def test_one_prd_has_one_holder_whatever_it_is_called(path: Path, data: Path) -> None:
    link = path.parent / "link.json"
    link.symlink_to(path)
    with PrdFile(path, data, holder="run rlp_1"):
        with pytest.raises(PrdBusyError) as busy:
            PrdFile(link, data)
        assert f"run rlp_1 (process {os.getpid()} on " in str(busy.value)
        other = path.with_name("other.json")
        other.write_text(text("a"))
        PrdFile(other, data).close()
    PrdFile(link, data).close()


def test_another_process_is_kept_out_until_the_holder_dies(path: Path, data: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from codetether_ray.bootstrap.ralph.prd_file import PrdFile\n"
        "file = PrdFile(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path), str(data)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(PrdBusyError, match=f"process {process.pid} on "):
            PrdFile(path, data)
        process.kill()
        process.wait()
        PrdFile(path, data).close()


def test_a_lock_is_let_go_where_the_file_cannot_be_read(path: Path, data: Path) -> None:
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(PrdError, match=r"prd\.json: \$: the file ends in the middle"):
            PrdFile(path, data)
    assert [p.name for p in path.parent.iterdir()] == ["prd.json"]


def test_the_lock_is_where_the_prd_is_whatever_home_it_is_worked_on_from(
    path: Path, data: Path, tmp_path: Path
) -> None:
    with (
        PrdFile(path, data, holder="rlp_1"),
        pytest.raises(PrdBusyError, match=r"worked on by rlp_1 \(process"),
    ):
        PrdFile(path, tmp_path / "another home")
    PrdFile(path, tmp_path / "another home").close()
    assert [p.name for p in path.parent.iterdir()] == ["prd.json"]


def test_in_a_repository_nobody_sees_the_lock(path: Path, data: Path, tmp_path: Path) -> None:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(path.parent))
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "c")):
        subprocess.run([*git, *words], check=True)
    other = tmp_path / "other"
    subprocess.run([*git, "worktree", "add", "-q", str(other)], check=True)
    with PrdFile(path, data, holder="rlp_1"):
        status = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True)
        assert status.stdout == b""
        with pytest.raises(PrdBusyError, match="rlp_1"):
            PrdFile(path, tmp_path / "another home")
        with PrdFile(other / "prd.json", data):  # another checkout's is another PRD
            pass
    assert len(list((path.parent / ".git" / "codetether" / "prds").iterdir())) == 2
    assert not data.exists()


def test_where_no_lock_can_be_beside_the_prd_it_is_in_the_data_directory(
    path: Path, data: Path
) -> None:
    path.with_name(".prd.json.lock").mkdir()
    with PrdFile(path, data), pytest.raises(PrdBusyError):
        PrdFile(path, data)
    assert len(list((data / "prds").iterdir())) == 1


def test_what_a_killed_saver_left_is_removed_by_the_next(path: Path, data: Path) -> None:
    stray = path.with_name(".prd.json.unfinished-0123abcd")
    stray.write_text("{")
    other = path.with_name(".prd2.json.unfinished-0123abcd")
    other.write_text("{")
    PrdFile(path, data).close()
    assert not stray.exists()
    assert other.exists()


def test_what_somebody_else_wrote_meanwhile_is_kept(path: Path, data: Path) -> None:
    with PrdFile(path, data) as file:
        path.write_text(path.read_text().replace('"t"', '"better"'))
        file.save(passing("a"))
    after = read_prd_file(path).prd
    assert [story.title for story in after.stories] == ["better", "better"]
    assert after.passed == {"a"}


def test_what_is_written_between_reading_and_replacing_is_kept(path: Path, data: Path) -> None:
    tries = []

    def change(prd: PrdText) -> PrdText:
        if not tries:
            path.write_text(path.read_text().replace('"f"', '"g"'))
        tries.append(prd.prd.feature)
        return prd.passed(["a"])

    with PrdFile(path, data) as file:
        file.save(change)
    assert tries == ["f", "g"]
    assert (read_prd_file(path).prd.feature, read_prd_file(path).prd.passed) == ("g", {"a"})
    assert [p.name for p in path.parent.iterdir()] == ["prd.json"]


def test_a_change_that_makes_it_no_prd_is_told_and_left_alone(path: Path, data: Path) -> None:
    with PrdFile(path, data) as file:
        path.write_text("{")
        with pytest.raises(PrdError, match="was changed while it was being worked on: "):
            file.save(passing("a"))
        assert path.read_text() == "{"
        path.write_text(text("b"))
        with pytest.raises(PrdError, match='there is no story "a"'):
            file.save(passing("a"))
        path.unlink()
        with pytest.raises(PrdGoneError, match="it was deleted"):
            file.save(passing("a"))
    assert not path.exists()


def test_a_file_that_is_taken_away_is_told_as_that(path: Path, data: Path) -> None:
    with PrdFile(path, data) as file:
        path.unlink()
        with pytest.raises(PrdGoneError, match="was deleted while it was being worked on; put it"):
            file.save(passing("a"))
    assert not path.exists()


def test_a_file_that_others_never_stop_writing_is_given_up(path: Path, data: Path) -> None:
    count = 0

    def change(prd: PrdText) -> PrdText:
        nonlocal count
        count += 1
        path.write_text(text("a", *(f"s{n}" for n in range(count))))
        return prd.passed(["a"])

    with (
        PrdFile(path, data) as file,
        pytest.raises(PrdFileError, match="others keep changing it"),
    ):
        file.save(change)


def test_what_is_no_file_or_too_large_is_refused_unread(path: Path, data: Path) -> None:
    with pytest.raises(PrdFileError, match="not a regular file"):
        read_prd_file(path.parent)
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)
    with pytest.raises(PrdFileError, match="not a regular file"):
        read_prd_file(pipe)
    with path.open("r+b") as file:
        file.truncate(50_000_000)
    with pytest.raises(PrdError, match=r"prd\.json: \$: 50\.0 MB is too large"):
        read_prd_file(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_is_told(path: Path, data: Path) -> None:
    with PrdFile(path, data) as file:
        path.parent.chmod(0o500)
        try:
            with pytest.raises(PrdFileError, match="cannot be written"):
                file.save(passing("a"))
        finally:
            path.parent.chmod(0o700)
