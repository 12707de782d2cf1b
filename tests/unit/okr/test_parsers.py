"""From what commands print to numbers; and which scripts a command runs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.measures import CommandMeasure
from codetether_ray.okr.json_path import at_path, parse_path
from codetether_ray.okr.parsers import find_json, number_at, value_of_output
from codetether_ray.okr.scripts import scripts_in


def regex(pattern: str) -> CommandMeasure:
    return CommandMeasure(command="c", parse="regex", pattern=pattern)


NUMBER = CommandMeasure(command="c", parse="number")


def test_the_last_match_counts() -> None:
    assert value_of_output(regex(r"p95=([\d.]+)"), 0, "p95=300\nwarm\np95=120.5 ms\n") == 120.5


def test_thousands_may_be_grouped() -> None:
    assert value_of_output(regex(r"(\S+) ops"), 0, "12,500 ops") == 12500


@pytest.mark.parametrize(
    ("measure", "code", "output", "why"),
    [
        (regex(r"p95=(\d+)"), 0, "nothing", "matches"),
        (regex(r"p95=(\w+)"), 0, "p95=fast", "no number"),
        (regex(r"a|(b)"), 0, "a", "matched nothing"),
        (regex(r"(\d+)"), 1, "7", "exit status 1"),
        (NUMBER, 0, "1 of 2", "one number"),
        (NUMBER, 0, "", "one number"),
        (CommandMeasure(command="c", parse="json", json_path="a"), 0, "no", "no JSON"),
        (CommandMeasure(command="c", parse="json", json_path="b"), 0, '{"a": 1}', "not there"),
        (CommandMeasure(command="c", parse="json", json_path="a"), 0, '{"a": "1"}', "no number"),
        (CommandMeasure(command="c", parse="json", json_path="a"), 0, '{"a": NaN}', "no number"),
        (CommandMeasure(command="c", parse="json", json_path="a"), 0, "[" * 99_999, "no JSON"),
        (
            CommandMeasure(command="c", parse="json", json_path="a"),
            0,
            f'{{"a": 1{"0" * 400}}}',
            "too large",
        ),
    ],
)
def test_output_without_a_value_says_why(
    measure: CommandMeasure, code: int, output: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        value_of_output(measure, code, output)


def test_a_failing_command_counts_only_where_that_is_said() -> None:
    lenient = CommandMeasure(command="c", parse="number", any_exit=True)
    assert value_of_output(lenient, 1, "3 passed\n") == 3


def test_the_number_is_in_the_last_line() -> None:
    assert value_of_output(NUMBER, 0, "1 2 3\ncoverage: 81.5%\n\n") == 81.5


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_that_is_printed_is_read_back(value: float) -> None:
    assert value_of_output(NUMBER, 0, f"{value!r}\n") == value
    text = f"log\n{json.dumps({'deep': [{'n': value}]})}\n"
    assert number_at(find_json(text), "$.deep[0].n") == value


def test_json_is_found_behind_a_log() -> None:
    assert find_json('warming up\n{"a": 1}\n{\n "a": 2\n}\n') == {"a": 2}


def test_a_path_has_names_indices_and_quoted_names() -> None:
    assert parse_path('$.a.b-c[0]["odd name"][-1]') == ("a", "b-c", 0, "odd name", -1)
    assert at_path({"a": [1, {"x y": 3}]}, 'a[-1]["x y"]') == 3
    assert at_path(5, "$") == 5
    with pytest.raises(ValueError, match="no JSON path"):
        parse_path("a[*]")


@pytest.mark.parametrize(
    ("command", "scripts"),
    [
        ("python scripts/bench.py --n 5", ("scripts/bench.py",)),
        ("./bench.sh && echo done", ("bench.sh",)),
        ("cd x; nice -n 19 python3.11 -W ignore b.py | tail -1", ("b.py",)),
        (
            "PYTHONPATH=. timeout 60 python -m tools.bench",
            ("tools/bench.py", "tools/bench/__main__.py"),
        ),
        ("uv run pytest -q tests/test_a.py::test_b tests", ("tests/test_a.py",)),
        ("python -m pytest tests/test_a.py", ("tests/test_a.py",)),
        ("poetry run python b.py", ("b.py",)),
        ("make bench", ("Makefile", "makefile", "GNUmakefile")),
        ("wc -l < README.md", ()),
        ("ruff check src/app.py", ()),
        ("python -c 'print(1)'", ()),
        ("python ../out.py; /usr/bin/x; echo 'open", ()),
    ],
)
def test_scripts_are_what_a_command_runs_and_not_what_it_looks_at(
    command: str, scripts: tuple[str, ...]
) -> None:
    assert scripts_in(command) == scripts


@given(st.text(max_size=60))
def test_no_command_is_too_odd_to_be_looked_at(command: str) -> None:
    assert all(not path.startswith(("/", "..")) for path in scripts_in(command))
