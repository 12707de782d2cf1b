"""How far a long run is read, on a line of its own that goes away again."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE_S = 1.0  # what is over sooner needs no progress
_EVERY_S = 0.2


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """Give what is to be told the bytes that are read; it shows them where people watch."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    due, shown = time.monotonic() + _PATIENCE_S, 0

    def told(count: int) -> None:
        nonlocal due, shown
        now = time.monotonic()
        if now < due:
            return
        due = now + _EVERY_S
        text = f"{what}: {count / 1e6:.0f} MB read"
        sys.stderr.write(f"\r{text:<{shown}}")
        sys.stderr.flush()
        shown = len(text)

    try:
        yield told
    finally:
        if shown:
            sys.stderr.write(f"\r{'':<{shown}}\r")
            sys.stderr.flush()
