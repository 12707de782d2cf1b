"""Who drives a run, and where that is written."""

from pathlib import Path

import pytest

from codetether_ray.bootstrap.driver import driving, find
from codetether_ray.core.errors import ConfigError
from codetether_ray.core.ids import new_run_id


def test_a_driver_is_found_while_it_drives(tmp_path: Path) -> None:
    run_id = new_run_id("swarm")
    with driving(tmp_path, run_id):
        found = find(tmp_path, run_id)
        assert found is not None
        assert found.is_alive
    assert find(tmp_path, run_id) is None


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"cannot be written .* CODETETHER_DATA_DIR"),
        driving(tmp_path / "file" / "data", new_run_id("swarm")),
    ):
        pass
