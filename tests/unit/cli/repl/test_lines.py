"""What a typed line means."""

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.cli.repl.lines import Line, goes_on, mentioned, parse, split_options
from codetether_ray.cli.swarm import command as swarm


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("fix the parser", Line(text="fix the parser")),
        ("  /swarm  add types & docs ", Line(command="swarm", text="add types & docs")),
        ("/swarm add types &", Line(command="swarm", text="add types", in_background=True)),
        ("/Jobs", Line(command="jobs", text="")),
        ("?", Line(command="help", text="")),
        ("/etc/hosts is wrong", Line(text="/etc/hosts is wrong")),
        ("R&D &", Line(text="R&D &")),
        ("", Line(text="")),
    ],
)
def test_a_line_is_a_message_or_a_command(typed: str, line: Line) -> None:
    assert parse(typed) == line


@given(st.text())
def test_every_text_is_a_line(typed: str) -> None:
    line = parse(typed)
    assert line.command or line.text == typed.strip()


@pytest.mark.parametrize(
    ("typed", "more"), [("a\\", True), ("a\\\\", False), ("a", False), ("\\\\\\", True)]
)
def test_a_backslash_at_the_end_goes_on(typed: str, more: bool) -> None:
    assert goes_on(typed) is more


@pytest.mark.parametrize(
    ("text", "words", "rest"),
    [
        ("fix the user's bug", [], "fix the user's bug"),
        ("--local --budget 5 don't panic", ["--local", "--budget", "5"], "don't panic"),
        ("--budget=5 -y go", ["--budget=5", "-y"], "go"),
        ('-m "local/my model" go', ["-m", "local/my model"], "go"),
        ("-- --help is odd", [], "--help is odd"),
        ("- a list", [], "- a list"),
        ("--resume swm_00mws4k4xr_686d8be8", ["--resume", "swm_00mws4k4xr_686d8be8"], ""),
        ("--resume --local", ["--resume", "--local"], ""),
        ("--plan", ["--plan"], ""),
    ],
)
def test_options_stand_before_a_text_that_stays_as_it_is(
    text: str, words: list[str], rest: str
) -> None:
    assert split_options(text, swarm) == (words, rest)


def test_a_quote_that_is_not_closed_is_said() -> None:
    with pytest.raises(click.UsageError, match="a quote is not closed"):
        split_options('--model "local/x go', swarm)


def test_files_are_mentioned_by_an_at(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b c.txt").write_text("b")
    text = 'compare @a.txt, @"b c.txt" and @a.txt with me@example.com and @nobody'
    assert mentioned(text, tmp_path) == (tmp_path / "a.txt", tmp_path / "b c.txt")
