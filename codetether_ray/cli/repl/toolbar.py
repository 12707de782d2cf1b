"""The lines below the prompt: who answers, what it took, what is under way."""

from typing import TYPE_CHECKING

from codetether_ray.cli import words

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl

_JOBS = 5
"""Jobs in the background that have a line of their own."""


def toolbar(repl: "Repl") -> str:
    """What it shows now."""
    width = repl.screen.width - 1
    lines = [_own(repl), *_behind(repl)]
    return "\n".join(words.column(line, width).rstrip() for line in lines)


def _own(repl: "Repl") -> str:
    parts = [repl.talk.model or repl.talk.answered_by, repl.talk.session_id or "new session"]
    total = repl.tally.total
    if total.times:
        parts.append(f"{words.count(total.usage.total_tokens)} tokens")
        parts.append(words.dollars(total.cost_usd))
    front = repl.jobs.front
    if front is not None:
        parts.append(("stopping · " if front.stops else "") + front.status())
    if repl.queued:
        parts.append(f"{words.plural(len(repl.queued), 'line')} waiting")
    hidden = [q for q in repl.desk.waiting if q is not repl.desk.current]
    if hidden:
        parts.append(f"{words.plural(len(hidden), 'question')} waiting: /answer")
    return " · ".join(part for part in parts if part)


def _behind(repl: "Repl") -> list[str]:
    jobs = repl.jobs.behind
    lines = [f"[{job.number}] {job.status() or job.title}" for job in jobs[:_JOBS]]
    return [*lines, f"… and {len(jobs) - _JOBS} more"] if len(jobs) > _JOBS else lines
