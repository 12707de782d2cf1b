"""Where this user's files are kept (XDG base directories)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NAME = "codetether-agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The directories of one user, and the global configuration file."""

    data: Path
    """Runs, keys, worktrees."""
    config: Path
    """`config.toml` of this user."""
    cache: Path
    """What can be made again."""


def find_paths(env: Mapping[str, str]) -> Paths:
    """The paths that the variables say: `CODETETHER_DATA_DIR`, `XDG_*_HOME`, `HOME`.

    A relative `XDG_*_HOME` is ignored, as the XDG specification demands.
    """
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    own = env.get("CODETETHER_DATA_DIR")
    data = Path(own).expanduser().absolute() if own else None
    return Paths(
        data=data or _base(env, "XDG_DATA_HOME", home / ".local" / "share") / _NAME,
        config=_base(env, "XDG_CONFIG_HOME", home / ".config") / _NAME / "config.toml",
        cache=_base(env, "XDG_CACHE_HOME", home / ".cache") / _NAME,
    )


def _base(env: Mapping[str, str], variable: str, default: Path) -> Path:
    path = Path(env.get(variable, ""))
    return path if path.is_absolute() else default


def data_dir(env: Mapping[str, str] | None = None) -> Path:
    """Where this user's runs, keys and worktrees are kept, by `env` (this process's if None)."""
    return find_paths(os.environ if env is None else env).data
