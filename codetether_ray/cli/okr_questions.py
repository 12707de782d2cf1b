"""The questions of `codetether okr create` on a terminal."""

import sys
import time
from typing import TYPE_CHECKING

from codetether_ray.core.errors import DecisionNeededError, InvalidOkrError

if TYPE_CHECKING:
    from codetether_ray.core.okrs import Okr

_FIELDS = {
    "command": (
        ("command", "Which shell command", ""),
        ("parse", "Its value: exit_status, number, regex PATTERN or json PATH", "number"),
        ("files", "Files that measure, which nobody may change (a, b; empty for none)", ""),
    ),
    "file": (
        ("path", "Which file", ""),
        ("contains", "What must it hold (empty: it must be there)", ""),
    ),
    "http": (
        ("url", "Which address", ""),
        ("status", "Which status", "200"),
        ("network", "public or loopback", "public"),
    ),
}
_KINDS = (*_FIELDS, "rubric")


def ask_for_okr() -> "Okr":
    """Ask for an objective and its key results until they are sound.

    Raises:
        DecisionNeededError: input ended.
    """
    from codetether_ray.okr.draft_text import from_text
    from codetether_ray.okr.stamps import moment

    head = [f"objective: {_said('Objective')}"]
    description = _read("What is it about (empty for nothing more)")
    if description:
        head.append(f"  {description}")
    lines: list[str] = []
    while True:
        more = _key_result()
        try:
            okr = from_text("\n".join((*head, *lines, *more)), now=moment(time.time()))
        except InvalidOkrError as error:
            sys.stderr.write(f"codetether: {error.problem}; say this key result again\n")
            continue
        lines += more
        if not _read("Another key result? [y/N]").lower().startswith("y"):
            return okr


def _key_result() -> list[str]:
    lines = [f"key result: {_said('Key result')}"]
    kind = _one_of("Measured by", _KINDS, "command")
    lines.append(f"  measure: {kind}")
    if kind == "rubric":
        criteria = _criteria()
        lines += [f"  criterion: {text}" for text in criteria]
        return [*lines, f"  target: {len(criteria)}", "  unit: criteria"]
    for name, question, default in _FIELDS[kind]:
        answer = _said(question) if not default and name in ("command", "path", "url") else ""
        answer = answer or _read(question, default)
        if answer:
            lines.append(f"  {name}: {answer}")
    if kind != "command" or "  parse: exit_status" in lines:
        return lines
    lines.append(f"  better: {_one_of('Better is', ('higher', 'lower'), 'higher')}")
    lines.append(f"  target: {_said('Target')}")
    return [*lines, f"  unit: {_read('Unit', '%')}"]


def _criteria() -> list[str]:
    found = [_said("Criterion")]
    while more := _read("Another criterion (empty: no more)"):
        found.append(more)
    return found


def _one_of(question: str, words: tuple[str, ...], default: str) -> str:
    while True:
        said = _read(f"{question} ({', '.join(words)})", default)
        if said in words:
            return said


def _said(question: str) -> str:
    while True:
        said = _read(question)
        if said:
            return said


def _read(question: str, default: str = "") -> str:
    """A line on a terminal, without its ends; `default` where it is empty.

    Raises:
        DecisionNeededError: input ended.
    """
    sys.stderr.write(f"{question} [{default}]: " if default else f"{question}: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise DecisionNeededError("input ended before it was answered; nothing was stored")
    return line.strip() or default
