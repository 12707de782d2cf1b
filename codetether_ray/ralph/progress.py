"""progress.txt: what each story that passed has left for those after it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from codetether_ray.ralph.markers import without_markers
from codetether_ray.ralph.prd import Prd, Story

_RULE = "-" * 60
_SUMMARY_CHARS = 1_500
_FILES = 40
_LEARNED = re.compile(r"^\W*(learned|learning|learnings)\b\W*(.*)$", re.IGNORECASE)
_DISTILLED_CHARS = 8_000
"""Of all that a new attempt is told of earlier stories: about 2,000 tokens."""
_LEAST_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of a story that passed."""

    story: str
    title: str
    summary: str
    files: tuple[str, ...] = ()


def entry(
    story: Story, iteration: int, moment: float, text: str, files: Sequence[str], run_id: str
) -> str:
    """The block that is appended when a story passed; `text` is its agent's last message."""
    said = without_markers(text)
    learned = learnings(said)
    lines = [
        _RULE,
        f"## Iteration {iteration} - {story.id}: {_one_line(story.title)} ({_time(moment)})",
        "",
        f"**Status:** passed (run {run_id})",
        "",
        "### Summary",
        shorten(said, _SUMMARY_CHARS) or "(nothing was said)",
    ]
    if learned:
        lines += ["", "### Learnings", *(f"- {words}" for words in learned)]
    if files:
        more = len(files) - _FILES
        lines += ["", "### Files", *(f"- {path}" for path in files[:_FILES])]
        lines += [f"- and {more} more"] if more > 0 else []
    return "\n".join(lines) + "\n"


def learnings(said: str) -> tuple[str, ...]:
    """What an agent's report says that it learned."""
    found = (match[2].strip() for line in said.splitlines() if (match := _LEARNED.match(line)))
    return tuple(words for words in found if words)


def appended(text: str, block: str) -> str:
    """`text` with a block at its end, once: one that is there already is not added again."""
    if block in text:
        return text
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + block


def distilled(prd: Prd, story: Story, told: Sequence[Told]) -> str:
    """What an attempt at a story is told of those before: what it needs first, then the newest.

    `told` is in the order in which the stories passed.
    """
    needs = _needs(prd, story)
    ranked = [t for t in told if t.story in needs]
    ranked += [t for t in reversed(told) if t.story not in needs]
    parts: list[str] = []
    room = _DISTILLED_CHARS
    for one in ranked:
        if room < _LEAST_CHARS:
            break
        share = max(_LEAST_CHARS, min(_SUMMARY_CHARS, room // 2))
        files = f"\nFiles: {', '.join(one.files[:10])}" if one.files else ""
        part = f"{one.story} ({_one_line(one.title)}): {shorten(one.summary, share)}{files}"
        part = shorten(part, room)
        parts.append(part)
        room -= len(part)
    left = len(ranked) - len(parts)
    if left:
        parts.append(f"({left} earlier stories are left out; progress.txt or git log has them.)")
    return "\n\n".join(parts)


def _needs(prd: Prd, story: Story) -> frozenset[str]:
    found: set[str] = set()
    open_ = list(story.depends_on)
    while open_:
        id = open_.pop()
        if id not in found and id in prd.by_id:
            found.add(id)
            open_ += prd.by_id[id].depends_on
    return frozenset(found)


def shorten(text: str, limit: int) -> str:
    """`text`, its middle left out (and said so) where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = max((limit - 40) // 2, 20)
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def tail(text: str, limit: int) -> str:
    """The end of `text`, whole lines where that is possible, with a word on what is left out."""
    if len(text) <= limit:
        return text
    cut = text[-limit:]
    _, found, rest = cut.partition("\n")
    kept = rest if found and rest else cut
    return f"[… {len(text) - len(kept)} characters left out …]\n{kept}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
