"""Where the traceback of an unexpected error goes: a private file, never the screen."""

import contextlib
import os
import tempfile
import traceback
from pathlib import Path


def write_report(error: BaseException) -> str:
    """Write the traceback to a file of mode 0600; return its path, or why there is none."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="codetether-crash-", suffix=".txt", dir=_folder(), delete=False
        ) as file:
            file.write("".join(traceback.format_exception(error)))
        return file.name
    except OSError as trouble:
        return f"not written, {trouble}"


def _folder() -> Path | None:
    """The crash folder of the data directory; None for the system's temporary one."""
    from codetether_ray.config.paths import data_dir

    with contextlib.suppress(OSError):
        folder = data_dir(os.environ) / "crashes"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return None
