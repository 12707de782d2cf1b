"""The archive of this user: where it is, what is sent to it, what is read through to it."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from codetether_ray.archive.cache import ReadThrough
from codetether_ray.archive.cargo import Cargo
from codetether_ray.archive.gate import Gate
from codetether_ray.archive.ledger import Kept, Ledger, turn
from codetether_ray.archive.patience import Backoff
from codetether_ray.archive.push import FolderPush, Pushed
from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archived_run import (
    AUDIT,
    MANIFEST,
    audit_cargo,
    fingerprint,
    run_cargo,
    run_ids,
)
from codetether_ray.bootstrap.hub_bundle import settle, stage
from codetether_ray.bootstrap.tombstones import tombstone_path
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ArchiveError, CodetetherError, ConfigError
from codetether_ray.journal.options import Mirror

SECRET = "s3"
"""The secret store's entry: `api_key` is the secret key, the extra `access_key` its id."""
ROUND_S = 10.0
"""Between two looks at what has to be sent."""
_LAST_S = 5.0
"""What the end of a run waits for its last bytes to be sent; the next run sends the rest."""
_TURN_S = 0.05


async def open_place(settings: Settings, env: Mapping[str, str]) -> S3Place | None:
    """Where the archive is, with its keys; None if there is none.

    The keys come from the secret store, then from `CODETETHER_S3_ACCESS_KEY` and `_SECRET_KEY`,
    then from where boto3 looks.

    Raises:
        SecretStoreError: the store cannot be read.
    """
    archive = settings.archive
    if archive.bucket is None:
        return None
    secret = await open_secret_store(env, settings.paths.data).get(SECRET)
    stored = (secret.extra.get("access_key", ""), secret.api_key) if secret else ("", "")
    given = (env.get("CODETETHER_S3_ACCESS_KEY", ""), env.get("CODETETHER_S3_SECRET_KEY", ""))
    access, hidden = stored if all(stored) else given
    if bool(access) != bool(hidden):
        raise ConfigError(
            "of CODETETHER_S3_ACCESS_KEY and CODETETHER_S3_SECRET_KEY only one is set; set both, "
            "or store them with `codetether auth set s3 --access-key ID`"
        )
    return S3Place(
        bucket=archive.bucket,
        prefix=archive.prefix,
        endpoint=archive.endpoint,
        region=archive.region,
        access_key=access,
        secret_key=hidden,
    )


def open_archive(settings: Settings, env: Mapping[str, str] | None = None) -> S3Store | None:
    """The archive of the settings; None if there is none. Not for the thread of a running loop.

    Raises:
        CodetetherError: its keys cannot be read.
    """
    place = asyncio.run(open_place(settings, os.environ if env is None else env))
    return None if place is None else S3Store(place)


def must_open(settings: Settings, env: Mapping[str, str] | None = None) -> S3Store:
    """The archive of the settings.

    Raises:
        ConfigError: there is none.
    """
    store = open_archive(settings, env)
    if store is None:
        raise ConfigError(
            "there is no archive; name its bucket with `codetether config set archive.bucket NAME`"
        )
    return store


def fetcher(settings: Settings) -> Callable[[str, str, Path], bool] | None:
    """What reads a run's segments and blobs from the archive; None if there is no archive.

    Called with a run's id, a name in the run's directory, and the file to make; it blocks.
    """
    store = open_archive(settings)
    return None if store is None else ReadThrough(store, settings.paths.cache / "archive")


def push_run(
    store: ObjectStore,
    data_dir: Path,
    run_id: str,
    progress: Callable[[Kept], None] = lambda _: None,
) -> Pushed:
    """Send what the archive lacks of a run; nothing where another process does so now.

    Raises:
        ArchiveError: it stopped there; it can be tried again.
    """
    with turn(data_dir, run_id) as is_mine:
        if not is_mine or tombstone_path(data_dir, run_id).exists():
            return Pushed()
        ledger = Ledger.load(data_dir, run_id)
        stage(data_dir, run_id, ledger)
        pushed = FolderPush(store, ledger, progress).push(run_cargo(data_dir, run_id))
        settle(data_dir, run_id, ledger)
        return pushed


def check_run(store: ObjectStore, data_dir: Path, run_id: str) -> tuple[str, ...]:
    """Read everything of a run back from the archive; name what was damaged, and send it again."""
    with turn(data_dir, run_id) as is_mine:
        if not is_mine:
            raise ArchiveError(f"{run_id} is being sent by another process; try again later")
        ledger = Ledger.load(data_dir, run_id)
        return FolderPush(store, ledger, lambda _: None).check(run_cargo(data_dir, run_id))


def push_audit(
    store: ObjectStore, data_dir: Path, progress: Callable[[Kept], None] = lambda _: None
) -> Pushed:
    """Send what the archive lacks of the audit log."""
    with turn(data_dir, AUDIT) as is_mine:
        if not is_mine:
            return Pushed()
        ledger = Ledger.load(data_dir, AUDIT)
        return FolderPush(store, ledger, progress).push(audit_cargo(data_dir))


def gate(store: ObjectStore, data_dir: Path, tell: Callable[[str], None]) -> Mirror:
    """What `LocalJournal.open` is given where `archive.sync` is set.

    `tell` is called in the writing thread.
    """

    def send_hub(run_id: str) -> None:
        while True:
            with turn(data_dir, run_id) as is_mine:
                if is_mine:
                    _push_hub(store, data_dir, run_id)
                    return
            time.sleep(_TURN_S)

    return Gate(store, data_dir, tell=tell, before=send_hub)


def _push_hub(store: ObjectStore, data_dir: Path, run_id: str) -> None:
    ledger = Ledger.load(data_dir, run_id)
    stage(data_dir, run_id, ledger)
    whole = run_cargo(data_dir, run_id)
    part = Cargo(
        folder=run_id,
        items=tuple(i for i in whole.items if i.name.startswith("hub/")),
        changing=tuple(c for c in whole.changing if c.name == MANIFEST),
    )
    FolderPush(store, ledger, lambda _: None).push(part)
    settle(data_dir, run_id, ledger)


class Pusher:
    """Sends in the background, in a thread of its own, whatever happens there.

    A run is never disturbed: what fails is tried again later, less and less often, and what is
    not sent when the process ends is sent by the next one, or by `codetether archive push`.
    """

    def __init__(
        self,
        open_store: Callable[[], ObjectStore | None],
        data_dir: Path,
        *,
        retention_s: float | None = None,
        parquet: bool = False,
        round_s: float = ROUND_S,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`wait` waits some seconds, or until somebody rings; False ends the pusher."""
        self._open_store, self._data_dir = open_store, data_dir
        self._retention_s, self._parquet = retention_s, parquet
        self._round_s = round_s
        self._backoff = backoff or Backoff()
        self._bell = threading.Event()
        self._is_closing = False
        self._wait = wait or self._rung
        self._store: ObjectStore | None = None
        self.trouble = ""
        """Why the last round failed; empty if it did not."""
        self.rounds = 0
        self._seen: dict[str, object] = {}
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def start(self) -> "Pusher":
        """Begin."""
        self._thread.start()
        return self

    def close(self, wait_s: float = _LAST_S) -> None:
        """Send what is there, but not for longer than `wait_s`. Idempotent."""
        self._is_closing = True
        self._bell.set()
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
        return push_everything(
            self._store,
            self._data_dir,
            retention_s=self._retention_s,
            parquet=self._parquet,
            seen=self._seen,
        )

    def _run(self) -> None:
        pause_s = self._round_s  # a run that begins has better things to do
        while True:
            if not (self._is_closing or self._wait(pause_s)):
                return
            is_last = self._is_closing
            try:
                self.round()
                self.trouble = ""
                self._backoff.reset()
                pause_s = self._round_s
            except Exception as error:  # noqa: BLE001 - a run must not end because of its archive
                self.trouble = str(error) or type(error).__name__
                pause_s = self._backoff.next_s()
            self.rounds += 1
            if is_last:
                return

    def _rung(self, pause_s: float) -> bool:
        self._bell.wait(pause_s)
        return True


def push_everything(
    store: ObjectStore,
    data_dir: Path,
    *,
    retention_s: float | None = None,
    parquet: bool = False,
    progress: Callable[[Kept], None] = lambda _: None,
    seen: dict[str, object] | None = None,
) -> Pushed:
    """Every run and the audit log; one run that fails does not hold up the others.

    `seen` remembers what each run looked like when it was sent: one that is the same is passed by.

    Raises:
        ArchiveError: the first thing that went wrong.
    """
    from codetether_ray.bootstrap.archive_rows import push_rows
    from codetether_ray.bootstrap.retention import apply_retention

    trouble: CodetetherError | None = None
    total = Pushed()
    seen = {} if seen is None else seen
    for run_id in reversed(run_ids(data_dir)):
        look = fingerprint(data_dir, run_id)
        if seen.get(run_id) == look:
            continue
        try:
            total += push_run(store, data_dir, run_id, progress)
            if parquet:
                total += push_rows(store, data_dir, run_id, progress)
            seen[run_id] = look
        except CodetetherError as error:
            trouble = trouble or error
    try:
        total += push_audit(store, data_dir, progress)
        if retention_s is not None:
            apply_retention(data_dir, retention_s)
    except CodetetherError as error:
        trouble = trouble or error
    if trouble is not None:
        raise trouble
    return total


def start_pusher(data_dir: Path, settings: Settings | None = None) -> Pusher | None:
    """Begin to send in the background; None where there is no archive."""
    settings = settings or load_settings(data_dir, os.environ)
    if settings.archive.bucket is None:
        return None
    env = dict(os.environ)
    return Pusher(
        lambda: open_archive(settings, env),
        data_dir,
        retention_s=settings.archive.retention_s,
        parquet=settings.archive.parquet,
    ).start()
