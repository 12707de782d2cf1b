"""Failpoints end a process of the kind that was meant, and one only where that is asked."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import sys
from codetether_ray.core import failpoints
wanted = dict(word.split("=", 1) for word in sys.argv[2:])
failpoints.arm(wanted, sys.argv[1])
for _ in range(3):
    failpoints.hit("here")
"""


def _end(kind: str, **env: str) -> int:
    words = [f"{name}={value}" for name, value in env.items()]
    return subprocess.run([sys.executable, "-c", _PROGRAM, kind, *words], cwd=_ROOT).returncode


@pytest.mark.parametrize(
    ("point", "ends"),
    [
        ("", False),
        ("here:1", True),
        ("here:3", True),
        ("here:4", False),
        ("there:1", False),
        ("agent/here:2", True),
        ("supervisor/here:2", False),
    ],
)
def test_a_process_ends_where_it_is_meant_to(point: str, ends: bool) -> None:
    assert _end("agent", CODETETHER_FAILPOINT=point) == (-signal.SIGKILL if ends else 0)


def test_only_the_first_process_ends_where_one_file_is_given(tmp_path: Path) -> None:
    env = {"CODETETHER_FAILPOINT": "here:1", "CODETETHER_FAILPOINT_ONCE": str(tmp_path / "once")}
    assert [_end("cli", **env) for _ in range(2)] == [-signal.SIGKILL, 0]


def test_a_recording_names_every_pass(tmp_path: Path) -> None:
    assert _end("cli", CODETETHER_FAILPOINT_LOG=str(tmp_path / "log")) == 0
    assert (tmp_path / "log").read_text() == "here\n" * 3
