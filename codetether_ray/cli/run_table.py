"""Runs as rows: for people a table, for programs JSON."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codetether_ray.core.codec import JsonObject
    from codetether_ray.journal.listing import RunSummary, Spending

_TITLE = 60


def row(summary: "RunSummary", data_dir: Path, now: float) -> "JsonObject":
    """One run as JSON. Times are ISO 8601 in UTC.

    What is spent is not told where only the archive still knows it.
    """
    from codetether_ray.core.codec import encode_object
    from codetether_ray.journal.segments import list_segments, run_directory

    is_away = any(s.form == "away" for s in list_segments(run_directory(data_dir, summary.id)))
    spent = None if is_away else _spent(summary, data_dir)
    usage = encode_object(spent.usage) if spent else {}
    return {
        "id": summary.id,
        "kind": summary.kind,
        "title": summary.title,
        "directory": summary.directory,
        "model": summary.model,
        "state": summary.state,
        "archived": is_away,
        "is_silent": summary.is_silent,
        "outcome": summary.outcome or None,
        "detail": summary.detail or None,
        "started_at": _iso(summary.started_at),
        "updated_at": _iso(summary.updated_at),
        "age_s": round(max(now - summary.updated_at, 0.0), 1),
        "total_tokens": spent.usage.total_tokens if spent else None,
        "usage": usage,
        "cost_usd": spent.cost_usd if spent else None,
        "model_calls": spent.calls if spent else None,
        "pid": summary.holder.pid if summary.holder else None,
        "host": summary.holder.host if summary.holder else None,
        "resume": resume(summary),
        "continue": go_on(summary),
    }


def resume(summary: "RunSummary") -> str | None:
    """The command that takes a run's unfinished work up again; None where there is none."""
    from codetether_ray.bootstrap.resuming import is_resumable, resume_command

    return resume_command(summary.kind, summary.id) if is_resumable(summary) else None


def go_on(summary: "RunSummary") -> str | None:
    """The command that goes on with a run, however; None where it can only be looked at."""
    from codetether_ray.bootstrap.resuming import continue_command

    unfinished = resume(summary)
    if unfinished or summary.state in ("running", "damaged") or summary.kind != "session":
        return unfinished
    return continue_command(summary.id)


def print_table(rows: "Sequence[JsonObject]") -> None:
    """Two lines a run: what it is, and how to go on with it."""
    for item in rows:
        age = _age(float(str(item["age_s"]))) if item["updated_at"] else "?"
        state = str(item["state"])
        if item["outcome"]:
            state = f"{state} ({item['outcome']})"
        elif item["is_silent"]:
            state = f"{state} (silent)"
        title = words.one_line(str(item["title"] or "(no title)"), _TITLE)
        click.echo(f"{item['id']}  {item['kind'] or '?':8} {state:22} {age:>8}  {_cost(item)}")
        click.echo(f"    {title}")
        if item["detail"]:
            click.echo(f"    {item['detail']}")
        if item["continue"]:
            click.echo(f"    {item['continue']}")
        elif item["pid"]:
            click.echo(f"    process {item['pid']} on {item['host']}")


def _spent(summary: "RunSummary", data_dir: Path) -> "Spending | None":
    from codetether_ray.journal.listing import spending

    try:
        return None if summary.state == "damaged" else spending(data_dir, summary.id)
    except (OSError, ValueError):
        return None


def _cost(item: "JsonObject") -> str:
    if item["archived"]:
        return "in the archive"
    if item["total_tokens"] is None:
        return ""
    cost = item["cost_usd"]
    tokens = f"{words.count(int(str(item['total_tokens'])))} tokens"
    return f"{tokens}, {words.dollars(None if cost is None else float(str(cost)))}"


def _iso(moment: float) -> str | None:
    if not moment:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _age(span_s: float) -> str:
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if span_s < limit:
            return f"{span_s / size:.0f} {unit}"
    return f"{span_s / 86400:.0f} d"
