"""Numbers and calls in people's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.cli import words
from codetether_ray.core.messages import ToolCall
from codetether_ray.core.usage import Usage


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (12345, "12.3k")])
def test_counts_are_short(number: int, text: str) -> None:
    assert words.count(number) == text


@pytest.mark.parametrize(
    ("span", "text"), [(0.25, "0.2 s"), (42.4, "42 s"), (185, "3 min 05 s"), (-1, "0.0 s")]
)
def test_spans_are_short(span: float, text: str) -> None:
    assert words.seconds(span) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ab", "ab    "),
        ("abcdefgh", "abcde…"),
        ("日本", "日本  "),
        ("日本語の仕事", "日本… "),
        ("a\nb", "a b   "),
    ],
)
def test_a_column_counts_wide_characters_as_two_cells(text: str, shown: str) -> None:
    assert words.column(text, 6) == shown


def test_a_column_may_have_no_room_at_all() -> None:
    assert words.column("abc", 0) == ""


def test_an_unknown_price_is_said() -> None:
    assert words.dollars(None) == "cost unknown"
    assert words.dollars(0.01234) == "$0.0123"


def test_cached_tokens_are_told_apart() -> None:
    usage = Usage(prompt_tokens=12_000, cache_read_tokens=10_000, completion_tokens=50)
    assert words.tokens(usage) == "12.0k in (10.0k cached), 50 out"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"command": "pytest -q", "timeout": 3}', "bash pytest -q"),
        ('{"other": 1}', "bash"),
        ("not json", "bash not json"),
        ("[1]", "bash [1]"),
    ],
)
def test_a_call_shows_the_argument_that_says_most(arguments: str, text: str) -> None:
    assert words.tool_call(ToolCall(id="1", name="bash", arguments=arguments)) == text


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_one_line_is_one_printable_line_within_its_limit(text: str, limit: int) -> None:
    line = words.one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
