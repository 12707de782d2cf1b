"""Where the audit log's second file is: found in any process, without a project's settings."""

from collections.abc import Mapping
from pathlib import Path

from codetether_ray.config.layers import read_file
from codetether_ray.config.paths import find_paths
from codetether_ray.core.errors import ConfigError

VARIABLE = "CODETETHER_AUDIT_LOG_PATH"


def second_audit_file(env: Mapping[str, str]) -> Path | None:
    """What the variable or the user's own file says; None if they say nothing.

    A file that cannot be read says nothing here: `config set`, which mends it, is audited too.
    """
    named = env.get(VARIABLE) or _configured(find_paths(env).config)
    return Path(named).expanduser().absolute() if named else None


def _configured(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        return str(read_file(file, is_project=False).values.get("audit.path") or "")
    except ConfigError:
        return ""
