"""The files by which a run's supervisor goes on when its process is replaced."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.actors import processes
from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.processes import Process
from codetether_ray.core.errors import ClusterError

RUN = "swm_0000000000_00000000"
JOB = Job(function="a.module:run", options={"task": "x"}, lasts=True, since=7)


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    return Dossier.of(tmp_path, RUN)


def test_a_job_is_read_back_by_another_process_and_by_nobody_else(dossier: Dossier) -> None:
    dossier.open(JOB)
    assert Dossier(dossier.folder).job() == JOB
    assert dossier.folder.stat().st_mode & 0o077 == 0
    assert (dossier.folder / "job").stat().st_mode & 0o077 == 0


def test_a_job_that_is_not_there_is_told_in_a_sentence(dossier: Dossier) -> None:
    with pytest.raises(ClusterError, match="cannot be read"):
        dossier.job()


def test_a_wish_to_cancel_stays_until_the_next_job(dossier: Dossier) -> None:
    assert not dossier.cancel()  # there is no run
    dossier.open(JOB)
    assert not dossier.is_cancelled
    assert dossier.cancel()
    assert Dossier(dossier.folder).is_cancelled
    dossier.open(JOB)
    assert not dossier.is_cancelled


def test_what_a_predecessor_started_is_ended_and_a_pid_that_was_reused_is_not(
    dossier: Dossier,
) -> None:
    dossier.open(JOB)
    left, other = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    try:
        found = processes.find(left.pid)
        assert found is not None
        dossier.note(found)
        dossier.note(Process(other.pid, "1"))  # one that has ended, of the same number
        assert dossier.end_processes() == 1
        assert left.wait(5) == -9
        assert other.poll() is None
        assert dossier.end_processes() == 0
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_removed_leaves_nothing_but_the_files_of_a_later_job(dossier: Dossier) -> None:
    dossier.open(JOB)
    later = replace(JOB, token="later")
    dossier.open(later)
    dossier.remove(JOB)
    assert dossier.is_open
    dossier.remove(later)
    assert not dossier.is_open
    assert not dossier.folder.exists()
