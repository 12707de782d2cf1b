"""What the tests of swarms on Ray look at: the processes of a program, and Ray's directories."""

import os
import signal
from pathlib import Path

from tests.e2e.program import Program


def processes_of(program: Program) -> dict[int, str]:
    """Every live process that was started, however indirectly, by this program: its title."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            env = (path / "environ").read_bytes()
            title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"HOME={program.home}".encode() in env.split(b"\0") and title:
            found[int(path.name)] = title
    return found


def kill(program: Program, actor: str) -> list[int]:
    """Kill the processes of this program's actors of a class; their pids."""
    return kill_titled(program, f"ray::{actor}")


def kill_titled(program: Program, words: str) -> list[int]:
    """Kill this program's processes in whose titles there are some words; their pids."""
    pids = [pid for pid, title in processes_of(program).items() if words in title]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


def ray_directories(program: Program) -> list[Path]:
    """Session directories of Rays that this program's processes own."""
    pids = {str(pid) for pid in processes_of(program)}
    owners = Path("/tmp").glob(f"ct-{os.getuid()}-*/owner")
    return [path.parent for path in owners if path.read_text().split()[0] in pids]
