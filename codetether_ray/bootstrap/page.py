"""Writes the page of a run, each request with the messages that it was made of."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from codetether_ray.agent.conversation import Conversation
from codetether_ray.agent.fold import apply
from codetether_ray.bootstrap.replay import Selection, lines_of, record_of
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, HistoryError
from codetether_ray.core.events import ModelRequested
from codetether_ray.journal.files import Fetch
from codetether_ray.replay.page import page
from codetether_ray.replay.timeline import Timeline


def timeline_of(
    data_dir: Path,
    run_id: str,
    fetch: Fetch | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> JsonObject:
    """The data of a run's page.

    Raises:
        JournalError: the run cannot be read.
    """
    timeline = Timeline()
    agents: dict[str, Conversation] = {}
    for line in lines_of(data_dir, run_id, Selection(), fetch=fetch):
        record = record_of(data_dir, run_id, line, fetch=fetch)
        known = agents.get(record.agent, Conversation())
        is_step = isinstance(record.event, ModelRequested) and record.event.purpose == "step"
        timeline.add(record, line.place.off, known.messages if is_step else ())
        if not timeline.wants_messages:
            agents.clear()
        else:
            with contextlib.suppress(HistoryError):  # `--verify` names it; it is shown all the same
                agents[record.agent] = apply(known, record.event)
        if progress is not None:
            progress(line.place.off + line.length)
    return timeline.to_json()


def write_page(
    data_dir: Path,
    run_id: str,
    file: Path,
    fetch: Fetch | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write a run's page, whole or not at all; its size in bytes.

    Raises:
        JournalError: the run cannot be read.
        CodetetherError: the file cannot be written.
    """
    timeline = timeline_of(data_dir, run_id, fetch, progress=progress)
    data = page(timeline, f"{run_id} · codetether").encode()
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise CodetetherError(f"{file} cannot be written: {error.strerror}") from error
    return len(data)
