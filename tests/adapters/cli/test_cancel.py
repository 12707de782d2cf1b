"""`codetether cancel`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.bootstrap import driver
from codetether_ray.cli.main import run
from codetether_ray.core.errors import CodetetherError, UnknownRunError
from codetether_ray.core.ids import new_run_id

_SLEEPER = """
import pathlib, signal, sys, time
from codetether_ray.bootstrap.driver import driving
data, run_id = pathlib.Path(sys.argv[1]), sys.argv[2]
try:
    with driving(data, run_id):
        print("ready", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def driven(data: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    run_id = new_run_id("swarm")
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPER, str(data), run_id], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with process:
        yield run_id, process
        process.kill()


def test_the_driver_of_a_run_is_interrupted_and_its_end_awaited(
    driven: tuple[str, "subprocess.Popen[str]"], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, process = driven
    found = driver.find(data, run_id)
    assert found is not None
    assert found.pid == process.pid
    # the sleeper is a zombie until it is waited for, so `cancel` does not wait for its end here
    driver.stop(found)
    assert process.wait(timeout=60) == 130
    assert driver.find(data, run_id) is None


def test_a_run_that_nobody_drives_is_left_alone(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = new_run_id("session")
    (data / "events" / run_id).mkdir(parents=True)
    assert run(["cancel", run_id]) == 0
    assert "is not running" in capsys.readouterr().out


@pytest.mark.parametrize("run_id", ["nonsense", "../../etc", "swm_00mwspr4l9_9e115e6a"])
def test_an_unknown_run_is_a_usage_error(
    run_id: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cancel", run_id]) == 2
    assert "codetether runs" in capsys.readouterr().err


def test_another_process_that_took_the_pid_over_is_not_touched(data: Path) -> None:
    run_id = new_run_id("swarm")
    with driver.driving(data, run_id):
        path = next((data / "drivers").iterdir())
        note = json.loads(path.read_text())
        path.write_text(json.dumps({**note, "mark": "another start time"}))
        assert driver.find(data, run_id) is None


def test_a_driver_on_another_machine_is_named(data: Path) -> None:
    run_id = new_run_id("swarm")
    with driver.driving(data, run_id):
        path = next((data / "drivers").iterdir())
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
        found = driver.find(data, run_id)
    assert found is not None
    with pytest.raises(CodetetherError, match="elsewhere"):
        driver.stop(found)


def test_a_path_cannot_hide_in_a_run_id(data: Path) -> None:
    with pytest.raises(UnknownRunError):
        driver.find(data, "../x")


def test_a_driver_that_ended_leaves_no_note(data: Path) -> None:
    run_id = new_run_id("swarm")
    with driver.driving(data, run_id):
        assert driver.find(data, run_id) is not None
    assert not list((data / "drivers").iterdir())


def test_who_is_refused_a_run_leaves_the_note_of_its_driver(
    driven: tuple[str, "subprocess.Popen[str]"], data: Path
) -> None:
    run_id, process = driven
    with driver.driving(data, run_id):
        pass
    found = driver.find(data, run_id)
    assert found is not None
    assert found.pid == process.pid
