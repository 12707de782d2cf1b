"""Who drives a run, and where that is written."""

from pathlib import Path

import pytest

from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.head import announce_head, withdraw_head
from codetether_ray.bootstrap.driver import (
    ask_to_stop,
    driving,
    find,
    find_unattended,
    is_asked_to_stop,
    stop,
)
from codetether_ray.core.errors import ConfigError
from codetether_ray.core.events import RunStarted
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.spec import Correlation
from codetether_ray.local.bus import LocalBus
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.journal import LocalJournal
from codetether_ray.local.publisher import LocalPublisher


def test_a_driver_is_found_while_it_drives(tmp_path: Path) -> None:
    run_id = new_run_id("swarm")
    with driving(tmp_path, run_id):
        found = find(tmp_path, run_id)
        assert found is not None
        assert found.is_alive
    assert find(tmp_path, run_id) is None


def test_a_process_that_drives_several_runs_is_told_which_one_to_stop(tmp_path: Path) -> None:
    one, other = new_run_id("swarm"), new_run_id("swarm")
    with driving(tmp_path, one), driving(tmp_path, other):
        ask_to_stop(tmp_path, one)
        assert is_asked_to_stop(tmp_path, one)
        assert not is_asked_to_stop(tmp_path, other)
    with driving(tmp_path, one):
        assert not is_asked_to_stop(tmp_path, one)  # that was said to an earlier driver


async def cut_off(data_dir: Path) -> str:
    """A run of which nobody has recorded the end, and that nobody writes."""
    run_id = new_run_id("swarm")
    correlation = Correlation(run_id=run_id)
    journal = await LocalJournal.open(data_dir, run_id, correlation)
    voice = LocalPublisher(journal, LocalBus(), correlation, "run", SystemClock())
    await voice.record(RunStarted(kind="swarm", title="x", directory="/x"))
    await voice.close()
    await journal.close()
    return run_id


async def test_a_run_whose_supervisor_ray_starts_again_can_be_told_to_stop(tmp_path: Path) -> None:
    run_id = await cut_off(tmp_path)
    dossier = Dossier.of(tmp_path, run_id)
    dossier.open(Job(function="a:b", options={}))
    assert find_unattended(tmp_path, run_id) is None  # its head is gone: nobody starts it again
    announce_head(tmp_path, address="127.0.0.1:1", token=tmp_path / "token")
    try:
        found = find_unattended(tmp_path, run_id)
        assert found is not None
        assert found.pid is None
        stop(found)
        assert dossier.is_cancelled
    finally:
        withdraw_head(tmp_path)


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"cannot be written .* CODETETHER_DATA_DIR"),
        driving(tmp_path / "file" / "data", new_run_id("swarm")),
    ):
        pass
