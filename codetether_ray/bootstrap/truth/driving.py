"""What a driver does with the truth, wherever it is: notes, tapes, the keys of its run."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.driver import driving
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ClusterError, CodetetherError
from codetether_ray.ports.secrets import SecretSource
from codetether_ray.providers.registry import parse_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a supervisor may ask this process for: the keys of the run's own providers."""

    store: SecretSource
    providers: frozenset[str]


def keys_of(model: str, data_dir: Path) -> Keys:
    """The keys of a model's provider, as this process has them."""
    store = open_secret_store(os.environ, data_dir)
    return Keys(store=store, providers=frozenset({parse_model(model).provider}))


def driving_here(truth: Truth, run_id: str) -> AbstractContextManager[None]:
    """Note who drives a run, where those look who end one: elsewhere its supervisor is told.

    Raises:
        ConfigError: the data directory cannot be written.
    """
    return driving(truth.data_dir, run_id) if truth.is_here else nullcontext()


def has_begun(truth: Truth, known: int = 0) -> Callable[[str], bool]:
    """Tells whether a run began, so that it can be resumed; not where the truth is out of reach."""

    def told(run_id: str) -> bool:
        try:
            return bool(truth.ask_now(runs.HAS_BEGUN, run_id, known))
        except ClusterError:
            return not truth.is_here

    return told


async def save_tape(truth: Truth, cache: Path, run_id: str, path: Path) -> None:
    """Write a run's tape: an export of its journal.

    Raises:
        CodetetherError: the file cannot be written.
    """
    from codetether_ray.bootstrap.truth.mirror import mirrored

    folder = await mirrored(truth, cache, run_id)
    await asyncio.to_thread(_save, folder, run_id, path)


def _save(data_dir: Path, run_id: str, path: Path) -> None:
    from codetether_ray.journal.reader import read_records
    from codetether_ray.providers.tape_export import tape_from_records

    tape = tape_from_records(read_records(data_dir, run_id, fetch=archived()))
    try:
        tape.save(path)
    except OSError as error:
        raise CodetetherError(f"the tape of {run_id} cannot be written: {error}") from error
