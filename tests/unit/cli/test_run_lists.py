import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codetether_ray.cli.main import run
from codetether_ray.config.paths import data_dir
from codetether_ray.core.events import (
    Event,
    ModelResponded,
    Record,
    RunFinished,
    RunStarted,
)
from codetether_ray.core.messages import assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Usage
from codetether_ray.local.journal import LocalJournal

_SESSION = "ses_0000000000_00000001"
_OTHER = "ses_0000000000_00000002"
_SWARM = "swm_0000000000_00000003"

Capture = pytest.CaptureFixture[str]


def _write(run_id: str, kind: str, directory: Path, *events: Event) -> None:
    async def go() -> None:
        journal = await LocalJournal.open(data_dir(), run_id)
        started = RunStarted(kind=kind, title=f"the {kind}", directory=str(directory))
        for event in (started, *events):
            where = Correlation(run_id=run_id)
            await journal.append(
                [Record(correlation=where, agent="main", event=event, time=1_700_000_000.0)]
            )
        await journal.close()

    asyncio.run(go())


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    response = ModelResponse(
        message=assistant("ok"),
        finish_reason="stop",
        usage=Usage(prompt_tokens=1000, completion_tokens=234),
        cost_usd=0.5,
    )
    answer = ModelResponded(step=0, response=response, elapsed_ms=1)
    _write(_SESSION, "session", tmp_path, answer, RunFinished(outcome="completed"))
    _write(_OTHER, "session", tmp_path / "elsewhere")
    _write(_SWARM, "swarm", tmp_path)
    return tmp_path


def test_every_run_is_listed_with_its_state_cost_and_next_command(
    capsys: Capture, cwd: Path
) -> None:
    assert run(["runs", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == {_SESSION, _OTHER, _SWARM}
    done = rows[_SESSION]
    assert (done["kind"], done["title"]) == ("session", "the session")
    assert (done["state"], done["outcome"]) == ("finished", "completed")
    assert (done["total_tokens"], done["cost_usd"], done["model_calls"]) == (1234, 0.5, 1)
    assert done["updated_at"] == "2023-11-14T22:13:20+00:00"
    assert done["continue"].startswith(f"codetether run --session {_SESSION} ")
    assert rows[_SWARM]["state"] == "interrupted"
    assert rows[_SWARM]["continue"] == f"codetether swarm --resume {_SWARM}"
    assert run(["runs"]) == 0
    text = capsys.readouterr().out
    assert f"codetether swarm --resume {_SWARM}" in text
    assert "1.2k tokens, $0.5000" in text


def test_sessions_are_those_of_this_directory_unless_all_are_asked_for(
    capsys: Capture, cwd: Path
) -> None:
    assert run(["sessions", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == [_SESSION]
    assert run(["sessions", "--all", "--json"]) == 0
    ids = {row["id"] for row in json.loads(capsys.readouterr().out)}
    assert ids == {_SESSION, _OTHER}


def test_a_running_run_names_its_process(capsys: Capture, cwd: Path) -> None:
    async def go() -> None:
        journal = await LocalJournal.open(data_dir(), _SWARM)
        await asyncio.to_thread(run, ["runs", "--json"])
        await journal.close()

    asyncio.run(go())
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[_SWARM]["state"], rows[_SWARM]["pid"]) == ("running", os.getpid())
    assert rows[_SWARM]["continue"] is None


def test_a_limit_takes_the_newest(capsys: Capture, cwd: Path) -> None:
    assert run(["runs", "--limit", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_no_runs_are_an_empty_list_and_a_hint_on_stderr(capsys: Capture) -> None:
    for command in ("runs", "sessions"):
        assert run([command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []
        assert run([command]) == 0
        output = capsys.readouterr()
        assert output.out == ""
        assert "yet" in output.err


def test_the_list_commands_import_no_heavy_library(tmp_path: Path) -> None:
    program = (
        "import sys; from codetether_ray.cli.main import run\n"
        "for line in (['runs'], ['sessions'], ['config', 'show'], ['auth', 'list']):\n"
        "    assert run(line) == 0\n"
        "heavy = {'ray', 'hvac', 'requests', 'aiohttp', 'pydantic', 'nacl'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True)
