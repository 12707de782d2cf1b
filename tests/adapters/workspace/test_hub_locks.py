"""A ref of the hub whose lock a killed process left can be moved at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.hub import Hub

_REF = "refs/codetether/run/agent"


def _locked_by(folder: Path, pid: int) -> Hub:
    hub = Hub(folder)
    lock = folder / f"{_REF}.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(str(pid))
    return hub


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    hub = _locked_by(tmp_path, ended.pid)
    assert hub.move_ref(_REF, "1" * 40, "")
    assert hub.read_ref(_REF) == "1" * 40
    assert not (tmp_path / f"{_REF}.lock").exists()


def test_the_lock_of_a_living_one_is_respected(tmp_path: Path) -> None:
    hub = _locked_by(tmp_path, os.getpid())
    with pytest.raises(WorkspaceError, match="another process is at work"):
        hub.move_ref(_REF, "1" * 40, "")
    assert hub.read_ref(_REF) == ""


def test_a_lock_names_its_holder_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process killed between the name and the holder would hold the next one up."""
    seen: list[str] = []
    link = os.link

    def watched(draft: Path, lock: Path) -> None:
        link(draft, lock)
        seen.append(lock.read_text("ascii"))

    monkeypatch.setattr(os, "link", watched)
    assert Hub(tmp_path).move_ref(_REF, "1" * 40, "")
    assert seen == [str(os.getpid())]
    assert [path.name for path in (tmp_path / _REF).parent.iterdir()] == [Path(_REF).name]
