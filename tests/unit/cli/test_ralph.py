"""`codetether ralph`: its group, status and templates, in this process."""

import json
from pathlib import Path

import pytest

from codetether_ray.cli.main import run
from codetether_ray.ralph.prd_text import read_prd

PRDS = sorted((Path(__file__).parents[2] / "data" / "prds").glob("*.json"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", PRDS, ids=lambda path: path.stem[:16])
def test_status_of_every_prd_of_the_reference_is_exit_code_0(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ralph", "status", "--prd", str(path)]) == 0
    out = capsys.readouterr().out
    data = json.loads(path.read_bytes())
    passed = sum(story["passes"] for story in data["user_stories"])
    assert f"passed   {passed}/{len(data['user_stories'])}\n" in out
    assert out.count("[x]") == passed
    assert run(["ralph", "status", "-p", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["passed"], shown["total"]) == (passed, len(data["user_stories"]))
    assert sum(map(len, shown["waves"])) == shown["total"] - passed


def test_json_tells_what_may_begin_and_what_waits_for_what(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (path,) = (p for p in PRDS if p.stem.startswith("prd_0934"))
    assert run(["ralph", "status", "-p", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ready"][0] == shown["waves"][0][1] == "US-008"
    by_id = {story["id"]: story for story in shown["stories"]}
    assert by_id["US-010"]["waits_for"] == ["US-005", "US-008"]
    assert (by_id["US-010"]["wave"], by_id["US-001"]["wave"]) == (2, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no such file; `codetether ralph create-prd -o FILE` makes one"),
        ("", "$: the file is empty"),
        ('{"project": "p", "feature": "f"}', "$.user_stories: there are no stories"),
    ],
)
def test_what_is_no_prd_is_one_sentence_and_exit_code_2(
    text: str | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        Path("prd.json").write_text(text)
    assert run(["ralph", "status"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"codetether: prd.json: {sentence}\n")


def test_control_characters_of_a_prd_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = {"id": "a\x1b[2J", "title": "t\x1b]0;x\x07", "description": "d"}
    data = {"project": "p\x1b", "feature": "f\r", "user_stories": [story]}
    Path("prd.json").write_text(json.dumps(data))
    assert run(["ralph", "status"]) == 0
    said = capsys.readouterr()
    assert not set("\x1b\x07\r") & set(said.out + said.err)


def test_a_template_is_printed_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("Cargo.toml").write_text("")
    assert run(["ralph", "create-prd", "-f", "Rate Limits", "--project-name", "api"]) == 0
    said = capsys.readouterr()
    prd = read_prd(said.out.encode()).prd
    assert (prd.project, prd.feature, prd.branch) == ("api", "Rate Limits", "feature/rate-limits")
    assert dict(prd.quality_checks.commands)["lint"] == "cargo clippy"
    assert "nothing was written" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["Cargo.toml"]


def test_a_template_is_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ralph", "create-prd", "-o", "a prd.json"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "`codetether ralph status -p 'a prd.json'`" in said.err
    before = Path("a prd.json").read_bytes()
    assert read_prd(before).prd.project == "my-project"
    assert run(["ralph", "create-prd", "-o", "a prd.json", "--json"]) == 2
    assert Path("a prd.json").read_bytes() == before


def test_an_empty_feature_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ralph", "create-prd", "-f", " ", "-o", "p.json"]) == 2
    assert capsys.readouterr().err == "codetether: $.feature: it is empty\n"
    assert not Path("p.json").exists()
