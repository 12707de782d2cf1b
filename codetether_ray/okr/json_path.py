"""A small JSON path: `$.runs[0].p95`, `p95`, `$["odd name"][-1]`."""

import re
from typing import Any

_STEP = re.compile(r"""\.?([A-Za-z_][\w-]*)|\[(-?\d+)\]|\["([^"]*)"\]|\['([^']*)'\]""")

Step = str | int


def parse_path(text: str) -> tuple[Step, ...]:
    """The steps of a path; none for the whole.

    Raises:
        ValueError: it is none.
    """
    rest = text.strip().removeprefix("$")
    steps: list[Step] = []
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise ValueError(f"{text!r} is no JSON path: it stops making sense at {rest[:20]!r}")
        name, index, quoted, single = found.groups()
        steps.append(int(index) if index is not None else name or quoted or single or "")
        rest = rest[found.end() :]
    return tuple(steps)


def at_path(data: object, text: str) -> Any:
    """What is at a path.

    Raises:
        ValueError: it is no path, or nothing is there.
    """
    here: Any = data
    for step in parse_path(text):
        try:
            here = _inside(here, step)
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"nothing is at {text}: {step!r} is not there") from None
    return here


def _inside(here: Any, step: Step) -> Any:
    if isinstance(here, list) and isinstance(step, int):
        return here[step]
    if isinstance(here, dict) and isinstance(step, str):
        return here[step]
    raise TypeError(step)
