"""The archive of this user: where it is, what is sent to it, what is read through to it."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from codetether_ray.archive.cache import ReadThrough
from codetether_ray.archive.cargo import Cargo
from codetether_ray.archive.gate import Gate
from codetether_ray.archive.ledger import Kept, Ledger, turn
from codetether_ray.archive.push import FolderPush, Pushed
from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.hub_bundle import settle, stage
from codetether_ray.bootstrap.archiving.standing import (
    AUDIT,
    MANIFEST,
    audit_cargo,
    changed_at,
    is_running,
    run_cargo,
)
from codetether_ray.bootstrap.tombstones import tombstone_path
from codetether_ray.config.settings import Settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ArchiveError, ConfigError
from codetether_ray.journal.options import Mirror

SECRET = "s3"
"""The secret store's entry: `api_key` is the secret key, the extra `access_key` its id."""
_TURN_S = 0.05
_SLACK_NS = 60 * 10**9
"""A file that changed this long before the last push began is looked at again."""


async def open_place(settings: Settings, env: Mapping[str, str]) -> S3Place | None:
    """Where the archive is, with its keys; None if there is none.

    The keys come from the secret store, then from `CODETETHER_S3_ACCESS_KEY` and `_SECRET_KEY`,
    then from where boto3 looks.

    Raises:
        SecretStoreError: the store cannot be read.
    """
    if settings.archive.bucket is None:
        return None
    secret = await open_secret_store(env, settings.paths.data).get(SECRET)
    stored = (secret.extra.get("access_key", ""), secret.api_key) if secret else ("", "")
    given = (env.get("CODETETHER_S3_ACCESS_KEY", ""), env.get("CODETETHER_S3_SECRET_KEY", ""))
    access, hidden = (key.strip() for key in (stored if all(stored) else given))
    if any(not ("!" <= letter <= "~") for letter in access + hidden):
        raise ConfigError(
            "a key of the archive holds something that no key holds, such as a space or a line's "
            "end; set it again"
        )
    if bool(access) != bool(hidden):
        raise ConfigError(
            "of CODETETHER_S3_ACCESS_KEY and CODETETHER_S3_SECRET_KEY only one is set; set both, "
            "or store them with `codetether auth set s3 --access-key ID`"
        )
    where = _place(settings)
    return where and replace(where, access_key=access, secret_key=hidden)


def place_of(settings: Settings) -> str | None:
    """The archive of the settings as ledgers name it; None if there is none. Asks nobody."""
    where = _place(settings)
    return None if where is None else str(where)


def _place(settings: Settings) -> S3Place | None:
    archive = settings.archive
    if archive.bucket is None:
        return None
    return S3Place(
        bucket=archive.bucket,
        prefix=archive.prefix,
        endpoint=archive.endpoint,
        region=archive.region,
    )


def open_archive(settings: Settings, env: Mapping[str, str] | None = None) -> S3Store | None:
    """The archive of the settings; None if there is none. It blocks, if only for a moment.

    Raises:
        CodetetherError: its keys cannot be read.
    """
    opening = open_place(settings, os.environ if env is None else env)
    with ThreadPoolExecutor(1) as pool:  # the caller's thread may have a loop that runs
        place = pool.submit(asyncio.run, opening).result()
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
    if Ledger.blank(data_dir, run_id, store.place).settled_at() == changed_at(data_dir, run_id):
        return Pushed()
    with turn(data_dir, run_id) as is_mine:
        if not is_mine or tombstone_path(data_dir, run_id).exists():
            return Pushed()
        ledger = Ledger.load(data_dir, run_id, store.place)
        began, was_running = changed_at(data_dir, run_id), is_running(data_dir, run_id)
        stage(data_dir, run_id, ledger)
        pushed = FolderPush(store, ledger, progress).push(run_cargo(data_dir, run_id, ledger))
        settle(ledger)
        if not was_running:
            ledger.settle(began)
        return pushed


def check_run(store: ObjectStore, data_dir: Path, run_id: str) -> tuple[str, ...]:
    """Read everything of a run back from the archive; name what was damaged, and send it again."""
    with turn(data_dir, run_id) as is_mine:
        if not is_mine:
            raise ArchiveError(f"{run_id} is being sent by another process; try again later")
        ledger = Ledger.load(data_dir, run_id, store.place)
        return FolderPush(store, ledger, lambda _: None).check(run_cargo(data_dir, run_id, ledger))


def push_audit(
    store: ObjectStore, data_dir: Path, progress: Callable[[Kept], None] = lambda _: None
) -> Pushed:
    """Send what the archive lacks of the audit log."""
    with turn(data_dir, AUDIT) as is_mine:
        if not is_mine:
            return Pushed()
        ledger = Ledger.load(data_dir, AUDIT, store.place)
        began, since = time.time_ns(), ledger.settled_at() - _SLACK_NS
        pushed = FolderPush(store, ledger, progress).push(audit_cargo(data_dir, since))
        ledger.settle(began)
        return pushed


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
    ledger = Ledger.load(data_dir, run_id, store.place)
    stage(data_dir, run_id, ledger)
    whole = run_cargo(data_dir, run_id, ledger)
    part = Cargo(
        folder=run_id,
        items=tuple(i for i in whole.items if i.name.startswith("hub/")),
        changing=tuple(c for c in whole.changing if c.name == MANIFEST),
    )
    FolderPush(store, ledger, lambda _: None).push(part)
    settle(ledger)
