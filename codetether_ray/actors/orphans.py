"""Ends what Ray leaves behind when the process that started it is killed.

The kernel takes Ray's servers along (see `cluster._Keeper`) and they take the workers; but Ray's
two agent processes first try for a minute to tell a dead server of it. A shell of a megabyte
waits on a pipe whose other end only the driver holds, and ends them and the directory.
"""

import shutil
import subprocess
from pathlib import Path

from codetether_ray.actors.processes import Process

_SCRIPT = """
cat > /dev/null
sleep 2
for pid in $PIDS; do
  case "$(cat /proc/$pid/comm 2> /dev/null)" in ray*) kill -9 "$pid" 2> /dev/null ;; esac
done
rm -rf "$DIRECTORY"
"""


class Watch:
    """Waits for this process's death, until it is closed."""

    def __init__(self, processes: tuple[Process, ...], directory: Path) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        shell = shutil.which("sh")
        if shell is None:
            return
        self._shell = subprocess.Popen(
            [shell, "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "PIDS": " ".join(str(p.pid) for p in processes),
                "DIRECTORY": str(directory),
            },
            start_new_session=True,
        )

    def close(self) -> None:
        """All has been ended in order; nothing is left to wait for."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.communicate()
