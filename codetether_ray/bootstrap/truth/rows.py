"""A run as one row, told by the data directory that holds it."""

from datetime import UTC, datetime
from pathlib import Path

from codetether_ray.bootstrap.resuming import continue_command, is_resumable, resume_command
from codetether_ray.core.codec import JsonObject, encode_object
from codetether_ray.journal.listing import RunSummary, Spending, spending
from codetether_ray.journal.segments import list_segments, run_directory


def row(summary: RunSummary, data_dir: Path, now: float) -> JsonObject:
    """One run as JSON. Times are ISO 8601 in UTC.

    What is spent is not told where only the archive still knows it.
    """
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


def resume(summary: RunSummary) -> str | None:
    """The command that takes a run's unfinished work up again; None where there is none."""
    return resume_command(summary.kind, summary.id) if is_resumable(summary) else None


def go_on(summary: RunSummary) -> str | None:
    """The command that goes on with a run, however; None where it can only be looked at."""
    unfinished = resume(summary)
    if unfinished or summary.state in ("running", "damaged") or summary.kind != "session":
        return unfinished
    return continue_command(summary.id)


def _spent(summary: RunSummary, data_dir: Path) -> Spending | None:
    try:
        return None if summary.state == "damaged" else spending(data_dir, summary.id)
    except (OSError, ValueError):
        return None


def _iso(moment: float) -> str | None:
    if not moment:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
