"""Colours, on a terminal alone."""

import os
import sys
from typing import TextIO

_CODES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33"}


def is_coloured(stream: TextIO) -> bool:
    """Whether colours may go to `stream`: a terminal that can show them, and no NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """`text` in a colour of the table, where `stream` may have colours."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if is_coloured(stream) else text


def say(sentence: str) -> None:
    """A sentence of the program itself, on stderr."""
    sys.stderr.write(f"codetether: {sentence}\n")
    sys.stderr.flush()
