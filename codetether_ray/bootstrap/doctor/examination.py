"""All checks of `codetether doctor`. Every one is real, and none needs room on the disk."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from codetether_ray.bootstrap.doctor import access, machine, records, storage
from codetether_ray.bootstrap.doctor.audit import audit
from codetether_ray.bootstrap.doctor.check import Check, guarded
from codetether_ray.bootstrap.doctor.cluster import cluster, head
from codetether_ray.bootstrap.doctor.token import token
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.errors import ConfigError


def examine(directory: Path, env: Mapping[str, str], address: str | None = None) -> Iterator[Check]:
    """All checks, one after the other; a cluster's nodes last, where there is one to join.

    `address` is the cluster's; None for the one that commands of this user would join.
    """
    yield guarded("python", machine.python)
    yield guarded("ray", machine.ray)
    yield guarded("git", machine.git)
    try:
        settings = load_settings(directory, env)
    except ConfigError as error:
        yield Check(name="settings", state="fail", detail=str(error))
        return
    yield Check(name="settings", state="ok", detail=f"{len(settings.listing)} keys")
    for name, look in _here(settings, directory, env):
        yield guarded(name, look)
    yield from cluster(settings, env, address)


def _here(
    settings: Settings, directory: Path, env: Mapping[str, str]
) -> tuple[tuple[str, Callable[[], Check]], ...]:
    """The checks of this machine by name."""
    data_dir = settings.paths.data
    return (
        ("data directory", lambda: storage.data(data_dir)),
        ("file system", lambda: storage.file_system(data_dir)),
        ("disk", lambda: storage.semantics(data_dir)),
        ("free space", lambda: storage.space(data_dir)),
        ("ballast", lambda: storage.ballast(data_dir)),
        ("quota", lambda: storage.quota(settings)),
        ("memory", machine.memory),
        ("ports", machine.ports),
        ("vault", lambda: access.vault(env)),
        ("keys", lambda: access.keys(settings, env)),
        ("providers", lambda: access.providers(settings, env)),
        ("ray token", lambda: token(env)),
        ("ray head", lambda: head(data_dir)),
        ("runs", lambda: records.runs(data_dir)),
        ("forgetting", lambda: records.forgetting(data_dir)),
        ("archive", lambda: records.archive(settings, env)),
        ("lag", lambda: records.lag(settings)),
        ("audit", lambda: audit(data_dir)),
        ("worktrees", lambda: records.worktrees(directory, data_dir)),
    )
