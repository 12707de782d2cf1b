"""Which servers of a Ray a process has started."""

import os
import shutil
import subprocess
from pathlib import Path

from codetether_ray.actors.coming_up import servers_below


def test_the_servers_that_this_process_started_are_found_also_when_they_have_ended(
    tmp_path: Path,
) -> None:
    program = tmp_path / "raylet"
    shutil.copy("/bin/sleep", program)
    before = servers_below(os.getpid())
    child = subprocess.Popen([program, "600"])
    other = subprocess.Popen(["/bin/sleep", "600"])
    try:
        found = {one: name for one, name in servers_below(os.getpid()).items() if one not in before}
        assert [(one.pid, one.is_alive, name) for one, name in found.items()] == [
            (child.pid, True, "raylet")
        ]
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        ended = {one for one in servers_below(os.getpid()) if one not in before}
        assert [one.is_alive for one in ended] == [False]
    finally:
        for process in (child, other):
            process.kill()
            process.wait()
