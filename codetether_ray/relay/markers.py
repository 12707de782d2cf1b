"""What the harness reads in a member's answer: lines of a fixed form, and nothing else.

`@name: question` goes into that member's next baton; `NEEDED: specialty` asks for a specialist;
`STATUS: done` says that nothing is left. None of them ends a relay by itself.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

_QUESTION = re.compile(r"^[ \t>*-]*@([a-z0-9-]+):[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_NEEDED = re.compile(r"^[ \t>*-]*NEEDED:[ \t]*(\S.*)$", re.MULTILINE)
_STATUS = re.compile(r"^\W*STATUS\W*:\W*(done|open)\b", re.IGNORECASE | re.MULTILINE)
_QUESTION_CHARS = 1_000
_QUESTIONS = 5  # of one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One member asks another."""

    sender: str
    to: str
    text: str


def questions(sender: str, text: str, team: Collection[str]) -> tuple[Question, ...]:
    """What an answer asks of others in the team."""
    found = [
        Question(sender=sender, to=name.lower(), text=said.strip()[:_QUESTION_CHARS])
        for name, said in _QUESTION.findall(text)
        if name.lower() in team and name.lower() != sender
    ]
    return tuple(found[:_QUESTIONS])


def needed(text: str) -> str:
    """The specialty that an answer finds missing; empty if it does not."""
    found = _NEEDED.search(text)
    return found[1].strip()[:200] if found else ""


def says_done(text: str) -> bool:
    """Whether an answer's last status line says that nothing is left."""
    found = _STATUS.findall(text)
    return bool(found) and found[-1].lower() == "done"
