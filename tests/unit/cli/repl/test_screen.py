"""What is written above the prompt, and the line that still streams."""

import io

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.output import DummyOutput

from codetether_ray.cli import words
from codetether_ray.cli.repl.screen import Screen, plain, rows_of


class Paper(DummyOutput):
    """An output that keeps what is written."""

    def __init__(self) -> None:
        self.stdout = io.StringIO()
        self.text = ""

    def write_raw(self, data: str) -> None:
        self.text += data.replace("\r\n", "\n")


async def test_whole_lines_are_written_and_the_rest_streams() -> None:
    paper = Paper()
    screen = Screen(paper)
    screen.write("Hel")
    screen.write("lo\nwor")
    assert screen.live == "wor"
    screen.aside("[1] beside")
    await screen.settle()
    assert paper.text == "Hello\n[1] beside\n"
    screen.line("a tool")
    await screen.settle()
    assert paper.text == "Hello\n[1] beside\nwor\na tool\n"
    assert screen.live == ""


async def test_nothing_is_written_while_somebody_else_has_the_terminal() -> None:
    paper = Paper()
    screen = Screen(paper)
    with screen.held():
        screen.line("later")
        await screen.settle()
        assert paper.text == ""
    await screen.settle()
    assert paper.text == "later\n"


def test_a_text_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x1b]0;title\x07c\x9bd\re\tf\n") == "abcde\tf\n"


@given(st.text(), st.integers(min_value=2, max_value=40))
def test_rows_of_a_line_fit_and_lose_nothing(line: str, width: int) -> None:
    rows = rows_of(line, width, most=10_000)
    assert "".join(rows) == line.expandtabs(4)
    assert all(words.cells(row) <= width for row in rows)
