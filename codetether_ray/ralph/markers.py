"""How an agent ends its story: lines in its last message, read strictly.

A marker stands on a line of its own; the last one counts. Bold or code marks around it are let
pass, nothing else is: a sentence that mentions a marker is none.
"""

import re
from dataclasses import dataclass
from typing import Literal

COMPLETE, BLOCKED, WRONG = "STORY_COMPLETE", "STORY_BLOCKED", "CRITERION_WRONG"
LEARNED = "LEARNED"

_MARK = re.compile(
    r"^[\s>*_`]*(STORY_COMPLETE|STORY_BLOCKED|CRITERION_WRONG):[ \t*_`]*(.*?)[\s*_`]*$",
    re.MULTILINE,
)
_WRONG = re.compile(r"(\d+)\s*:\s*(.+)", re.DOTALL)
_AMENDED = re.compile(r"\s*=>\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What an agent said of its story. `none`: nothing that can be read."""

    kind: Literal["complete", "blocked", "wrong", "none"]
    reason: str = ""
    """Why it is blocked; the evidence against a criterion."""
    criterion: int = 0
    """Which one is wrong, from 1."""
    proposal: str = ""
    """What it should say instead; empty: it should go."""


def read_marker(text: str, story_id: str) -> Marker:
    """The last marker of a message that is about this story."""
    found = Marker(kind="none")
    for match in _MARK.finditer(text):
        read = _read(match[1], match[2].strip(), story_id)
        found = read or found
    return found


def _read(word: str, rest: str, story_id: str) -> Marker | None:
    if word == COMPLETE:
        return Marker(kind="complete") if rest.casefold() == story_id.casefold() else None
    if word == BLOCKED:
        return Marker(kind="blocked", reason=rest) if rest else None
    wrong = _WRONG.fullmatch(rest)
    if wrong is None:
        return None
    evidence, *amended = _AMENDED.split(wrong[2], maxsplit=1)
    return Marker(
        kind="wrong",
        criterion=int(wrong[1]),
        reason=evidence.strip(),
        proposal=amended[0].strip() if amended else "",
    )


def without_markers(text: str) -> str:
    """A message without its marker lines."""
    return _MARK.sub("", text).strip()
