"""What a fork server imports before it forks, and whether it may fork at all."""

import importlib
import importlib.metadata
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from codetether_ray.core import masking
from codetether_ray.local import code_print
from codetether_ray.tools import toolbox
from codetether_ray.tools.catalog import ALL_TOOLS

TRIED = frozenset({"2.60.0"})
"""Versions of Ray whose workers were forked in this project's tests."""

RAY = (
    "argparse",
    "numpy",
    "pydantic.v1",
    "pyarrow",
    "pyarrow.json",
    "ray",
    "ray._common.pydantic_compat",
    "ray._common.usage.usage_lib",
    "ray._private.node",
    "ray._private.parameter",
    "ray._private.arrow_serialization",
    "ray._private.async_compat",
    "ray._private.external_storage",
    "ray._private.runtime_env.setup_hook",
    "ray._private.workers",
    "ray.actor",
    "starlette.datastructures",
)
"""What Ray's worker script imports, and its first answer."""

OURS = (
    "aiohttp",
    "codetether_ray.actors.agent",
    "codetether_ray.actors.bus",
    "codetether_ray.actors.node",
    "codetether_ray.actors.registry",
    "codetether_ray.actors.seats",
    "codetether_ray.actors.supervisor",
    "codetether_ray.bootstrap.agents",
    "codetether_ray.bootstrap.children.runs",
    "codetether_ray.bootstrap.on_ray",
    "codetether_ray.bootstrap.session.home",
    "codetether_ray.bootstrap.swarm.home",
    "codetether_ray.providers.anthropic",
    "codetether_ray.providers.client",
    "codetether_ray.providers.openai",
    "codetether_ray.providers.permits",
    "codetether_ray.providers.retry",
    "codetether_ray.secrets.encrypted",
    *(f"codetether_ray.tools.{name}" for name in ALL_TOOLS),
    "codetether_ray.workspace.snapshots",
    "tomllib",
    "encodings.ascii",
    "nacl.public",
    "nacl.secret",
    "pydantic.type_adapter",
    "pydantic._internal._dataclasses",
)
"""What this project's actors import: as they are made, in a turn, in a run."""


class Code:
    """The files of this project's loaded modules, and whether they are as they were."""

    def __init__(self, seen: Mapping[Path, int]) -> None:
        self._seen = dict(seen)
        self._looked = time.monotonic()

    @classmethod
    def loaded(cls) -> "Code":
        """What this process has imported of this project."""
        files = [
            Path(file)
            for name, module in tuple(sys.modules.items())
            if name.partition(".")[0] == "codetether_ray"
            and (file := getattr(module, "__file__", None))
        ]
        return cls({path: _changed_at(path) for path in files})

    def has_changed(self, fresh_s: float) -> bool:
        """Whether one was written or removed since; looked at every `fresh_s` at most."""
        now = time.monotonic()
        if now - self._looked < fresh_s:
            return False
        self._looked = now
        return any(_changed_at(path) != at for path, at in self._seen.items())


def unfit() -> str:
    """Why workers are not to be forked with what is installed; empty if they may."""
    found = importlib.metadata.version("ray")
    if found not in TRIED:
        return f"Ray {found} was not tried with it (but {', '.join(sorted(TRIED))})"
    return ""


def load_ours() -> None:
    """Import what agents need. What cannot be imported is left to who needs it."""
    for name in OURS:
        with suppress(ImportError):
            importlib.import_module(name)
    toolbox.prepare(ALL_TOOLS)
    masking.prepare()


def load() -> Code:
    """Import everything. What cannot be imported is left to who needs it.

    Raises:
        RuntimeError: a thread runs afterwards, which a fork would lose.
    """
    for name in (*RAY, *OURS):
        with suppress(ImportError):
            importlib.import_module(name)
    toolbox.prepare(ALL_TOOLS)
    masking.prepare()
    code_print.learn()  # here, where looking at everything costs its pages but once
    if threading.active_count() != 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"a fork server has one thread; its imports started {names}")
    return Code.loaded()


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
