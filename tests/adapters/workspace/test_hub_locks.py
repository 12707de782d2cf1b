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
