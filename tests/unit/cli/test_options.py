"""Options that run and swarm share."""

import io
from pathlib import Path

import click
import pytest

from codetether_ray.cli import options
from codetether_ray.core.errors import UsageError
from codetether_ray.core.usage import Budget


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("1.5", 1.5), ("90s", 90.0), ("5m", 300.0), ("2h", 7200.0)]
)
def test_a_time_is_given_in_seconds_or_with_a_unit(text: str, seconds: float) -> None:
    assert options.SPAN.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["0", "soon", "-1", "5 parsecs", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        options.SPAN.convert(text, None, None)


def test_some_times_may_be_nothing() -> None:
    assert options.SPAN_OR_ZERO.convert("0", None, None) == 0


def test_a_size_has_a_unit() -> None:
    assert options.SIZE.convert("500MB", None, None) == 500_000_000


def test_a_dash_means_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe\n"))
    assert options.given_text("-") == "from a pipe\n"
    assert options.given_text("plain") == "plain"
    with pytest.raises(UsageError, match="empty"):
        options.given_text(" ")


def test_a_schema_must_be_a_json_object(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"type": "object"}')
    bad.write_text("[1]")
    assert options.schema(good) == '{"type": "object"}'
    assert options.schema(None) is None
    with pytest.raises(UsageError, match="object"):
        options.schema(bad)
    with pytest.raises(UsageError, match="missing"):
        options.schema(tmp_path / "missing.json")


def test_a_schema_that_is_none_is_refused_before_anything_is_paid_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"properties": {"a": {"type": "nonsense"}}}')
    with pytest.raises(UsageError, match=r"nonsense.*\(at properties/a/type\)"):
        options.schema(bad)


def test_a_file_that_is_written_at_the_end_must_have_a_folder_at_the_beginning(
    tmp_path: Path,
) -> None:
    assert options.NEW_FILE.convert(str(tmp_path / "new.txt"), None, None) == tmp_path / "new.txt"
    with pytest.raises(click.BadParameter, match="there is no folder"):
        options.NEW_FILE.convert(str(tmp_path / "missing" / "new.txt"), None, None)
    with pytest.raises(click.BadParameter, match="is a directory"):
        options.NEW_FILE.convert(str(tmp_path), None, None)


def test_a_budget_holds_tokens_and_dollars() -> None:
    assert options.budget(2.5, 1000) == Budget(usd=2.5, tokens=1000)
