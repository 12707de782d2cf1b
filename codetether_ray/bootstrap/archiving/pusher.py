"""Sends runs to the archive in the background, while they go on and when they end."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from codetether_ray.archive.ledger import Kept
from codetether_ray.archive.patience import Backoff
from codetether_ray.archive.push import Pushed
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.opening import open_archive, push_audit, push_run
from codetether_ray.bootstrap.archiving.retention import apply_retention
from codetether_ray.bootstrap.archiving.rows import send_rows, update_rows
from codetether_ray.bootstrap.archiving.standing import run_ids
from codetether_ray.bootstrap.auditing.opening import LentAudit, acting, open_audit
from codetether_ray.bootstrap.replay import archived
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.files import Fetch
from codetether_ray.ports.audit import Action

ROUND_S = 10.0
"""Between two looks at what has to be sent."""
_LAST_S = 5.0
"""What the end of a run waits for its last bytes to be sent; the next run sends the rest."""
_RETENTION_S = 3600.0
"""Between two looks at what may go from here."""


class Pusher:
    """Sends in the background, in a thread of its own, whatever happens there.

    It is one action of the audit log, from its first round to its last, and each look at what may
    go from here is another. A run is never disturbed: what fails is tried again later, less and
    less often, and what is not sent when the process ends is sent by the next one, or by
    `codetether archive push`.
    """

    def __init__(
        self,
        open_store: Callable[[], ObjectStore | None],
        data_dir: Path,
        *,
        run_id: str | None = None,
        retention_s: float | None = None,
        rows: Fetch | None = None,
        round_s: float = ROUND_S,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`run_id` goes first: it is the run of this process.

        `tell` is told once, in the pusher's thread, when sending begins to fail. `wait` waits some
        seconds, or until somebody rings; False ends the pusher.
        """
        self._open_store, self._data_dir = open_store, data_dir
        self._run_id = run_id
        self._retention_s, self._rows = retention_s, rows
        self._round_s = round_s
        self._backoff = backoff or Backoff()
        self._bell = threading.Event()
        self._is_closing = False
        self._wait = wait or self._rung
        self._tell = tell
        self._store: ObjectStore | None = None
        self.trouble = ""
        """Why the last round failed; empty if it did not."""
        self.rounds = 0
        self._released_at: float | None = None
        self._audit: LentAudit | None = None
        self._act = ""
        self._sent = Pushed()
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def start(self) -> "Pusher":
        """Begin."""
        self._thread.start()
        return self

    def close(self, wait_s: float = _LAST_S) -> None:
        """Send what is there, but not for longer than `wait_s`. Idempotent."""
        self._is_closing = True
        self._bell.set()
        if self._thread.ident is None:  # its rounds were made by hand
            self._end()
        else:
            self._thread.join(wait_s)

    async def aclose(self) -> None:
        """`close`, from a loop."""
        await asyncio.to_thread(self.close)

    def round(self) -> Pushed:
        """Send everything that changed since it was sent.

        Raises:
            CodetetherError: something could not be sent.
        """
        if self._store is None:
            self._store = self._open_store()
            if self._store is None:
                return Pushed()
        self._begin(self._store.place)
        sent = push_everything(
            self._store,
            self._data_dir,
            first=self._run_id,
            retention_s=self._due_retention(),
            rows=self._rows,
        )
        self._sent += sent
        return sent

    def _begin(self, place: str) -> None:
        """Say once what this does; before a run's turn is taken, which a flush may wait for."""
        if self._audit is not None:
            return
        audit = open_audit(self._data_dir)
        try:
            (self._act,) = audit.begin_now(
                Action(
                    category="archive",
                    action="archive.background",
                    resource=self._run_id or "all",
                    correlation=Correlation(run_id=self._run_id) if self._run_id else None,
                    detail={"place": place},
                )
            )
        except BaseException:
            audit.close_now()
            raise
        self._audit = audit

    def _end(self) -> None:
        if self._audit is not None:
            detail: JsonObject = {"objects": self._sent.objects, "bytes": self._sent.bytes}
            self._audit.end(self._act, "failure" if self.trouble else "success", detail=detail)
            self._audit.close_now()
            self._audit = None

    def _due_retention(self) -> float | None:
        """The retention, where it is time to look what may go; never while a run ends."""
        now = time.monotonic()
        is_due = self._released_at is None or now - self._released_at >= _RETENTION_S
        if self._retention_s is None or self._is_closing or not is_due:
            return None
        self._released_at = now
        return self._retention_s

    def _run(self) -> None:
        pause_s = self._round_s  # a run that begins has better things to do
        while True:
            if not (self._is_closing or self._wait(pause_s)):
                self._end()
                return
            is_last = self._is_closing
            try:
                self.round()
                self.trouble = ""
                self._backoff.reset()
                pause_s = self._round_s
            except Exception as error:  # noqa: BLE001 - a run must not end because of its archive
                self._failed(str(error) or type(error).__name__)
                pause_s = self._backoff.next_s()
            self.rounds += 1
            if is_last:
                self._end()
                return

    def _failed(self, why: str) -> None:
        is_news, self.trouble = not self.trouble, why
        if is_news and not self._is_closing:
            self._tell(f"{why}; the run goes on, and what is not archived now is sent later")

    def _rung(self, pause_s: float) -> bool:
        self._bell.wait(pause_s)
        return True


def push_everything(
    store: ObjectStore,
    data_dir: Path,
    *,
    first: str | None = None,
    retention_s: float | None = None,
    rows: Fetch | None = None,
    progress: Callable[[Kept], None] = lambda _: None,
) -> Pushed:
    """Every run and the audit log; one run that fails does not hold up the others.

    `first` and the audit log go before what other runs left; of those the newest goes first.
    `rows` reads through to the archive: with it a Parquet copy is made and sent as well.

    Raises:
        CodetetherError: the first thing that went wrong.
    """
    troubles: list[CodetetherError] = []
    total = Pushed()
    runs = [run_id for run_id in reversed(run_ids(data_dir)) if run_id != first]
    if first is not None:
        with _noting(troubles):
            total += push_run(store, data_dir, first, progress)
    audit = Pushed()
    with _noting(troubles):
        audit = push_audit(store, data_dir, progress)
    for run_id in runs:
        with _noting(troubles):
            total += push_run(store, data_dir, run_id, progress)
    if rows is not None and total.objects:
        with _noting(troubles):
            update_rows(data_dir, fetch=rows)
            total += send_rows(store, data_dir, progress)
    if retention_s is not None:
        action = Action(
            category="archive", action="archive.retention", detail={"older_than_s": retention_s}
        )
        with _noting(troubles), acting(data_dir, action) as done:
            done.detail["runs"] = len(apply_retention(store, data_dir, retention_s))
    if troubles:
        raise troubles[0]
    return total + audit


@contextmanager
def _noting(troubles: list[CodetetherError]) -> Iterator[None]:
    try:
        yield
    except CodetetherError as error:
        troubles.append(error)


def start_pusher(
    data_dir: Path,
    settings: Settings | None = None,
    *,
    run_id: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Pusher | None:
    """Begin to send in the background; None where there is no archive. For `tell` see `Pusher`."""
    settings = settings or load_settings(data_dir, os.environ)
    if settings.archive.bucket is None:
        return None
    env = dict(os.environ)
    return Pusher(
        lambda: open_archive(settings, env),
        data_dir,
        run_id=run_id,
        retention_s=settings.archive.retention_s,
        rows=archived() if settings.archive.parquet else None,
        tell=tell,
    ).start()
