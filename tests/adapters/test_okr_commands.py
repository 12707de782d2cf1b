"""`codetether okr` in this process: what it lists, counts, refuses and decides."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.cli.main import run
from codetether_ray.config.paths import data_dir
from tests.unit.okr.okrs import OBJECTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as one JSON value."""
        return json.loads(self.out)


class Commands:
    """The command line in a home of its own, with no terminal."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch, self._captured = patch, captured

    def okr(self, *arguments: str, stdin: str = "") -> Ended:
        return self.run("okr", *arguments, stdin=stdin)

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        self._patch.setattr("sys.stdin", io.StringIO(stdin))
        self._captured.readouterr()
        code = run(list(arguments))
        out, err = self._captured.readouterr()
        return Ended(code=code, out=out, err=err)

    def created(self) -> dict[str, Any]:
        ended = self.okr("create", "--from", "-", "--json", stdin=OBJECTIVE)
        assert ended.code == 0, ended.err
        made: dict[str, Any] = ended.json
        return made


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Commands:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CODETETHER_DATA_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Commands(monkeypatch, capsys)


@pytest.fixture
def store(cli: Commands) -> Path:
    return data_dir() / "okr.db"


def test_what_is_created_is_listed_counted_exported_and_found_by_a_part_of_its_id(
    cli: Commands, store: Path
) -> None:
    nothing = cli.okr("list", "--json")
    assert (nothing.code, nothing.json) == (0, [])
    assert not store.exists()
    first = cli.created()
    ended = cli.okr(
        "create", "--title", "Tests pass", "--key-result", "no failures", "--target", "1",
        "--unit", "", "--command", "pytest -q", "--parse", "exit_status", "--owner", "ada",
        "--json",
    )  # fmt: skip
    second = ended.json
    assert (second["owner"], second["key_results"][0]["measure"]["parse"]) == ("ada", "exit_status")
    assert [one["id"] for one in cli.okr("list", "--json").json] == [
        first["id"],
        second["id"],
    ]
    only = cli.okr("list", "--owner", "ada", "--json").json
    assert [one["id"] for one in only] == [second["id"]]
    short = cli.okr("status", "--id", first["id"][:8])
    assert "p95 below 100 ms: not measured (target ≤ 100 ms)" in short.out
    assert "python3 scripts/bench.py" in short.out
    runs = cli.okr("runs", "--id", second["id"], "--json").json
    assert [run["id"] for run in runs["runs"]] == [second["run"]["id"]]
    export = cli.okr("export", "--id", first["id"]).json
    assert ([o["id"] for o in export["okrs"]], len(export["runs"])) == ([first["id"]], 1)
    stats = cli.okr("stats", "--json").json
    assert stats["total_okrs"] == 2
    assert stats["run_status_counts"] == {"pending_approval": 2}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("status", "--id", "none"), 2, "no OKR or run 'none'"),
        (("status",), 2, "--id"),
        (("report", "--id", ""), 2, "--id is empty"),
        (("list", "--status", "odd"), 2, "odd"),
        (("runs", "--status", "odd"), 2, "pending_approval"),
        (("create",), 3, "no terminal"),
        (("create", "--title", "x"), 2, "--target"),
        (("create", "--title", "x", "--target", "1"), 2, "--command"),
        (("create", "--title", "x", "--target", "-1", "--command", "c"), 2, "from 0 up"),
        (("create", "--from", "none.okr"), 2, "none.okr"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    cli: Commands, store: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = cli.okr(*arguments)
    assert ended.code == code
    assert words in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert not store.exists()


def test_a_decision_counts_once_and_is_in_the_audit_log(cli: Commands) -> None:
    made = cli.created()
    id = made["run"]["id"]
    unasked = cli.okr("approve", "--id", id)
    assert (unasked.code, unasked.out) == (3, "")
    assert f"codetether okr approve --id {id} --yes" in unasked.err
    early = cli.okr("resume", "--id", id)
    assert early.code == 1
    assert "was not approved" in early.err
    denied = cli.okr("deny", "--id", id, "--reason", "not now", "--json")
    assert (denied.code, denied.json["outcome"]) == (1, "denied")
    assert denied.json["run"]["approval"]["reason"] == "not now"
    late = cli.okr("approve", "--id", id, "--yes")
    assert late.code == 1
    assert "denied by" in late.err
    audit = cli.run("audit", "query", "--json").out
    found = [json.loads(line) for line in audit.splitlines()]
    outcomes = [entry["outcome"] for entry in found if entry["action"] == "okr.decide"]
    assert outcomes == ["denied", "failure"]
    assert cli.run("audit", "query", "--okr", made["id"], "--json").out.count("\n") == 2


def test_a_cancelled_run_is_over(cli: Commands) -> None:
    made = cli.created()
    cli.okr("approve", "--id", made["id"], "--yes")
    ended = cli.okr("cancel", "--id", made["id"], "--json")
    assert (ended.code, ended.json["run"]["status"]) == (0, "cancelled")
    again = cli.okr("resume", "--id", made["id"])
    assert again.code == 1
    assert "it is cancelled" in again.err


def test_a_stored_key_reaches_no_objective_and_no_reason(
    cli: Commands, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "not-for-" + "the-record"
    monkeypatch.setenv("VAULT_TOKEN", key)
    text = OBJECTIVE.replace("p95", f"p95 with {key}", 1)
    refused = cli.okr("create", "--from", "-", stdin=text)
    assert refused.code == 2
    assert "holds a key that is stored here" in refused.err
    denied = cli.okr("deny", "--id", cli.created()["id"], "--reason", f"I use {key}", "--json")
    assert denied.json["run"]["approval"]["reason"] == "I use [masked]"
    assert key.encode() not in store.read_bytes()
