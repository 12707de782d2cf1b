"""Log lines are JSON, bear the ids of what they belong to, and hold no secret."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core import events as e
from codetether_ray.telemetry.logs import FIELDS, JsonFormatter, correlated
from codetether_ray.telemetry.run_log import RunLog, log_path, open_log
from tests.unit.telemetry.scene import RUN, SECRET, Story, swarm

KEY = "sk-ant-api03-aaaaaaaaaaaaaaaa1234"


def _line(formatter: logging.Formatter, message: str, **extra: Any) -> dict[str, Any]:
    record = logging.LogRecord("codetether_ray.x", logging.INFO, "", 0, message, None, None)
    vars(record).update(extra)
    return dict(json.loads(formatter.format(record)))


def test_a_line_bears_the_ids_of_its_context() -> None:
    formatter = JsonFormatter(run="swm_1", node="ab12")
    with correlated(agent="sub/a"):
        inner = _line(formatter, "hello", **{FIELDS: {"step": 3}})
    outer = _line(formatter, "hello")
    assert {name: inner[name] for name in ("run", "agent", "node", "step", "message")} == {
        "run": "swm_1",
        "agent": "sub/a",
        "node": "ab12",
        "step": 3,
        "message": "hello",
    }
    assert inner["ts"].endswith("Z")
    assert "agent" not in outer


def test_what_looks_like_a_key_is_masked_wherever_it_is() -> None:
    formatter = JsonFormatter()
    assert KEY not in json.dumps(_line(formatter, f"no {KEY}", **{FIELDS: {"x": f"a {KEY}"}}))


def test_a_message_of_many_lines_is_one_line() -> None:
    record = logging.LogRecord("codetether_ray.x", logging.INFO, "", 0, "a\nb", None, None)
    assert "\n" not in JsonFormatter().format(record)


def test_a_runs_log_tells_what_happened_and_nothing_that_was_said(tmp_path: Path) -> None:
    log = RunLog(tmp_path, RUN)
    for record in swarm(Story()):
        log.take(record)
    log.close()
    text = log_path(tmp_path, RUN).read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["message"] for line in lines] == [
        "run.started",
        "swarm.subtask",
        "swarm.subtask",
        "agent.started",
        "agent.placed",
        "turn.finished",
        "swarm.subtask",
        "swarm.merged",
        "run.finished",
    ]
    assert {line["run"] for line in lines} == {RUN}
    assert {line["agent"] for line in lines} == {"run", "sub/tests"}
    assert SECRET not in text
    assert "/secret/place" not in text
    assert log_path(tmp_path, RUN).stat().st_mode & 0o777 == 0o600


def test_model_calls_are_lines_where_all_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODETETHER_LOG", "debug")
    log = RunLog(tmp_path, RUN)
    for record in swarm(Story()):
        log.take(record)
    log.close()
    assert "model.responded" in log_path(tmp_path, RUN).read_text()


def test_a_replaced_process_is_a_warning(tmp_path: Path) -> None:
    log = RunLog(tmp_path, RUN)
    log.take(Story().tell("sub/a", e.AgentRestarted(attempt=1, reason="killed")))
    log.close()
    assert json.loads(log_path(tmp_path, RUN).read_text())["level"] == "warning"


def test_a_closed_log_takes_no_more_and_another_run_has_its_own(tmp_path: Path) -> None:
    other = "swm_0mbx1c2d3f_5f60718b"
    first = RunLog(tmp_path, RUN)
    first.close()
    second = RunLog(tmp_path, other)
    second.take(Story(other).tell("run", e.RunFinished(outcome="success")))
    second.close()
    assert log_path(tmp_path, RUN).read_text() == ""
    assert json.loads(log_path(tmp_path, other).read_text())["run"] == other


def test_of_many_runs_the_logs_of_the_last_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(520):
        (folder / f"ses_{number:010}_00000000.jsonl").touch()
    (folder / "head.log").touch()
    RunLog(tmp_path, RUN).close()
    kept = sorted(path.name for path in folder.glob("ses_*"))
    assert len(kept) == 500
    assert kept[0].startswith("ses_0000000020")
    assert (folder / "head.log").exists()


def test_there_is_no_log_where_nobody_wants_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODETETHER_LOG", "off")
    assert open_log(tmp_path, RUN) is None
    assert not (tmp_path / "logs").exists()


def test_a_disk_that_refuses_costs_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    assert open_log(tmp_path, RUN) is None
