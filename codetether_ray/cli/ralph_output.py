"""What `codetether ralph run` asks, its table of stories, and its summary."""

import asyncio
import sys
from typing import Any, TextIO

from codetether_ray.cli import words
from codetether_ray.cli.live import Progress
from codetether_ray.cli.swarm_consent import typed_line
from codetether_ray.core.usage import Usage

_COLUMNS = ("story", "status", "attempts", "tokens", "cost", "title")
_PROPOSAL = 2000
"""Of a criterion, characters: nobody agrees to what they do not see."""
_RIGHT = {"attempts", "tokens", "cost"}


class Amending:
    """Puts amendments of criteria to whoever sits there, one at a time."""

    def __init__(
        self,
        progress: Progress,
        *,
        is_given: bool,
        stdin: TextIO = sys.stdin,
        stderr: TextIO = sys.stderr,
    ) -> None:
        self._progress = progress
        self._is_given = is_given
        self._stdin, self._stderr = stdin, stderr
        self._one = asyncio.Lock()

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer: `approved`, and the criterion's words where they are others."""
        async with self._one:
            self._progress.pause()
            try:
                return await self._asked(question)
            finally:
                self._progress.go_on()

    async def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        for line in question_lines(question):
            self._stderr.write(line + "\n")
        if self._is_given:
            return {"approved": bool(question["new"])}
        if not (self._stdin.isatty() and self._stderr.isatty()):
            self._stderr.write("nobody can be asked here: `--yes` agrees beforehand\n")
            return {"approved": False}
        self._stderr.write("Amend it? [y/N, or the criterion's new words] ")
        self._stderr.flush()
        answer = (await typed_line(self._stdin)).strip()
        if answer.lower() in ("y", "yes"):
            return {"approved": bool(question["new"])}
        is_no = answer.lower() in ("", "n", "no")
        return {"approved": not is_no, "text": "" if is_no else answer}


def question_lines(question: dict[str, Any]) -> list[str]:
    """A proposal, for who decides on it."""
    return [
        f"{question['story']} ({question['title']}): criterion {question['criterion']} is said to "
        "be wrong",
        f"  it says:   {words.one_line(question['old'], _PROPOSAL)}",
        f"  evidence:  {words.one_line(question['evidence'], _PROPOSAL)}",
        f"  proposal:  {words.one_line(question['new'], _PROPOSAL) or '(none: type one)'}",
    ]


def table(result: dict[str, Any]) -> list[str]:
    """A line per story, and how it ended."""
    rows = [_COLUMNS, *(_row(story) for story in result["stories"])]
    widths = [max(words.cells(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            cell.rjust(width) if name in _RIGHT else words.column(cell, width)
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return [*lines, "", result["result"]]


def _row(story: dict[str, Any]) -> tuple[str, ...]:
    cause = f" ({story['cause']})" if story["status"] == "blocked" and story["cause"] else ""
    return (
        words.one_line(story["id"], 24),
        f"{story['status']}{cause}",
        str(story["attempts"]),
        words.count(story["tokens"]),
        words.dollars(story["cost_usd"]).replace("cost unknown", "?"),
        words.one_line(story["title"], 60),
    )


def summary(result: dict[str, Any]) -> list[str]:
    """What it took, what is in the way, and what to type next."""
    out = [f"ralph {result['run_id']}: {result['outcome']}"]
    if result["error"]:
        out.append(f"  {words.one_line(result['error'], 1000)}")
    out += [f"  note: {note}" for note in result["notes"]]
    for story in result["stories"]:
        if story["status"] != "passed" and story["detail"] and story["cause"] != "depends":
            out.append(f"  {story['id']}: {words.one_line(story['detail'], 400)}")
            out += [f"    its work is on {story['branch']}"] if story["branch"] else []
    counts = {k: v for k, v in result["usage"].items() if k in Usage.__dataclass_fields__}
    attempts = words.plural(result["current_iteration"], "attempt")
    out += [
        f"total: {attempts} · {words.tokens(Usage(**counts))} · "
        f"{words.dollars(result['cost_usd'])} · {words.seconds(result['elapsed_s'])}"
    ]
    return [*out, *_next(result)]


def _next(result: dict[str, Any]) -> list[str]:
    out = []
    if result.get("delivered"):
        out.append(result["delivered"])
    if result.get("resume"):
        more = {"budget": " with a higher --max-tokens or --budget"}.get(result["outcome"], "")
        out.append(f"go on: {result['resume']}{more}")
    branch = result["branch"]
    if branch and result["diffstat"]:
        out.append(f"branch: {branch}")
        out.append(f"  look:     git log -p {result['base'][:12]}..{branch}")
        if not result.get("delivered"):
            out.append(f"  merge:    git merge {branch}")
    if result.get("patch"):
        out += [f"patch: {result['patch']}", f"  apply: git apply {result['patch']}"]
    return out
