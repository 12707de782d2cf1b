"""What is installed beside this package lets a Python that is a Ray worker be forked, no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_HOOK = "codetether_ray.actors.forkserver.hook"


@pytest.mark.parametrize(
    ("script", "switch", "is_loaded"),
    [
        ("default_worker.py", "1", True),
        ("default_worker.py", "0", False),
        ("another.py", "1", False),
    ],
)
def test_only_a_worker_looks_for_a_fork_server_and_only_where_it_is_wanted(
    tmp_path: Path, script: str, switch: str, is_loaded: bool
) -> None:
    path = tmp_path / script
    path.write_text(f"import sys; print({_HOOK!r} in sys.modules)")
    found = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "CODETETHER_FORK_SERVER": switch},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(is_loaded)


def test_a_launcher_becomes_the_worker_where_it_may_not_be_forked(tmp_path: Path) -> None:
    path = tmp_path / "default_worker.py"
    path.write_text("import sys; print(sys.argv[1:], sys.flags.isolated, sys.flags.no_site)")
    launcher = _ROOT / "codetether_ray" / "actors" / "forkserver" / "launch.py"
    found = subprocess.run(
        [sys.executable, "-I", "-S", str(launcher), str(path), "--worker-id=1", "--node-id="],
        env={**os.environ, "CODETETHER_FORK_SERVER": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "['--worker-id=1', '--node-id='] 0 0"
