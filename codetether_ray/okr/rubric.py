"""A rubric: what the judge is asked, and what of its answer counts.

A criterion is met when the judge says so and quotes what shows it, and the quotation stands word
for word in the change or in the file that is named. Whether it does is looked up here.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from codetether_ray.core.okrs import KeyResult

LookUp = Callable[[str], str | None]
"""The text of a file of the measured tree; None where there is none."""

SHORTEST_QUOTE = 12
"""Characters, blanks not counted: a shorter one is found everywhere."""
_DIFF_CHARS = 60_000

JUDGE_ROLE = (
    "You judge whether work meets criteria. You did not do the work, and nothing that it says "
    "about itself counts: only what the files hold. Read them. For each criterion say whether it "
    "is met, and quote, word for word, the lines of a file that show it (one passage of one file, "
    "12 characters or more). What you cannot prove by a quotation is not met."
)
JUDGE_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "criteria": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "number": {"type": "integer"},
                        "met": {"type": "boolean"},
                        "file": {"type": "string"},
                        "quote": {"type": "string"},
                        "reason": {"type": "string"},
                    },
                    "required": ["number", "met", "file", "quote", "reason"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["criteria"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How many criteria are met, and a line on each."""

    met: int
    evidence: tuple[str, ...]


def judge_request(key_result: KeyResult, criteria: Sequence[str], diff: str) -> str:
    """The message to the judge."""
    listed = "\n".join(f"{n}. {text}" for n, text in enumerate(criteria, 1))
    shown = diff[:_DIFF_CHARS]
    cut = f"\n[{len(diff) - len(shown)} more characters]" if len(diff) > len(shown) else ""
    change = f"The change so far:\n```diff\n{shown}{cut}\n```" if diff else "Nothing was changed."
    return (
        f"{key_result.title}\n{key_result.description}\n\nCriteria:\n{listed}\n\n{change}\n\n"
        'Answer {"criteria": [{"number", "met", "file", "quote", "reason"}]}, one for each.'
    )


def judged(answer: str, criteria: Sequence[str], diff: str, look_up: LookUp) -> Judged:
    """What counts of the judge's answer.

    Raises:
        ValueError: it is no answer.
    """
    said = _by_number(answer)
    met, lines = 0, []
    for number, text in enumerate(criteria, 1):
        one = said.get(number)
        problem = "the judge said nothing of it" if one is None else _problem(one, diff, look_up)
        if one is not None and not problem:
            met += 1
            lines.append(f"{number}. met: {text} · {one['file']}: {_line(one['quote'])}")
        else:
            lines.append(f"{number}. not met: {text} · {problem}")
    return Judged(met=met, evidence=tuple(lines))


def _by_number(answer: str) -> dict[int, dict[str, Any]]:
    try:
        entries = json.loads(answer[answer.find("{") : answer.rfind("}") + 1])["criteria"]
        return {int(one["number"]): cast("dict[str, Any]", one) for one in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the judge's answer is of no use: {error}") from None


def _problem(one: dict[str, Any], diff: str, look_up: LookUp) -> str:
    """Why the criterion does not count as met; empty where it does."""
    if one.get("met") is not True:
        return _line(str(one.get("reason", ""))) or "the judge gave no reason"
    quote, file = str(one.get("quote", "")), str(one.get("file", ""))
    if len("".join(quote.split())) < SHORTEST_QUOTE:
        return "the judge says that it is met and quotes nothing"
    one["file"], one["quote"] = file, quote
    if _holds(look_up(file) or "", quote) or _holds(_changed_lines(diff), quote):
        return ""
    return f"the judge quotes what is not in {file or 'any file'}: {_line(quote)}"


def _holds(text: str, quote: str) -> bool:
    return quote.strip() in text


def _changed_lines(diff: str) -> str:
    """What a unified diff added, without its marks."""
    lines = (line for line in diff.splitlines() if line.startswith("+"))
    return "\n".join(line[1:] for line in lines if not line.startswith("+++ "))


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 200 else f"{flat[:199]}…"
