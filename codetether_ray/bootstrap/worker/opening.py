"""Puts a worker together: who it is, which models it can ask, its client, its doing."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.agents import kept_process
from codetether_ray.bootstrap.models import choose
from codetether_ray.bootstrap.truth.reach import ingress_named
from codetether_ray.bootstrap.truth.trusted import trusted
from codetether_ray.bootstrap.worker.copies import clear_lost
from codetether_ray.bootstrap.worker.doing import Doing
from codetether_ray.config.paths import find_paths
from codetether_ray.config.settings import load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ConfigError, UsageError
from codetether_ray.core.work import Worker
from codetether_ray.local.clock import SystemClock
from codetether_ray.providers.catalog import MODELS
from codetether_ray.worker.approval import Level, capabilities
from codetether_ray.worker.client import PlatformClient
from codetether_ray.worker.cognition import Cognition, sharing_of, source_token
from codetether_ray.worker.run import Rhythm, WorkerRun

_TOKEN_FILE = Path("auth") / "token"
"""In the data directory: this machine's own server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What `codetether worker` was asked for. The token is given apart."""

    server: str
    name: str
    codebases: tuple[Path, ...]
    level: Level = "safe"
    concurrency: int = 1
    model: str | None = None
    grace_s: float = 20.0
    address: str | None = None


@asynccontextmanager
async def opened_worker(
    options: WorkerOptions, token: str, notice: Callable[[str], None]
) -> AsyncIterator[WorkerRun]:
    """A worker that can be let work; what it holds open is closed at the end.

    Raises:
        CodetetherError: there is no model to ask, no such codebase, no usable server.
    """
    if not options.server.startswith(("http://", "https://")):
        raise UsageError(f"--server must be http://… or https://…; it is {options.server!r}")
    url = await ingress_named(options.address)
    if url:  # as `codetether context` may have saved it: each task would fail of it
        raise UsageError(
            f"{url} is an ingress, and what a worker does lives where its codebases are; give it "
            "`--address local`, or its cluster's address HOST:6379"
        )
    codebases = tuple(_codebase(path) for path in options.codebases)
    await asyncio.to_thread(clear_lost, find_paths(os.environ).data)
    models = await _models(options.model, Path(codebases[0]))
    me = Worker(
        id=f"wrk_{int(time.time())}_{secrets.token_hex(8)}",
        tenant="",
        name=options.name,
        hostname=socket.gethostname(),
        capabilities=capabilities(options.level),
        models=models,
        codebases=codebases,
    )
    client = PlatformClient(options.server, token, me, trusted(os.environ))
    doing = Doing(
        me=me, level=options.level, notice=notice, model=models[0], address=options.address
    )
    try:
        async with kept_process():
            yield WorkerRun(
                me,
                client,
                doing,
                limit=options.concurrency,
                clock=SystemClock(),
                notice=notice,
                rhythm=Rhythm(grace_s=options.grace_s),
                cognition=_cognition(),
            )
    finally:
        await client.close()


async def _models(named: str | None, directory: Path) -> tuple[str, ...]:
    """The models that can be asked: the one in force first, then those of providers with a key.

    Raises:
        CodetetherError: there is none.
    """
    settings = load_settings(directory, os.environ)
    store = open_secret_store(os.environ, settings.paths.data)
    first = str(await choose(named, settings, store, directory))
    with_keys = await store.providers()
    known = (f"{info.provider}/{info.id}" for info in MODELS.values() if info.provider in with_keys)
    return (first, *(ref for ref in known if ref != first))


def _codebase(path: Path) -> str:
    full = path.expanduser().resolve()
    if not full.is_dir():
        raise ConfigError(f"--codebases: there is no directory {path}")
    return str(full)


def _cognition() -> Cognition:
    sharing = sharing_of(os.environ)
    return Cognition(sharing, source_token(os.environ, sharing.source, _local_token()))


def _local_token() -> str:
    """This user's own server's token, where one was made."""
    try:
        return (find_paths(os.environ).data / _TOKEN_FILE).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
