"""A repository with three files, and a way to open runs in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.workspace.git import GitWorkspace
from tests.unit.workspace.repos import RUN, Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "project")
    made.commit(
        {"a.txt": "a1\na2\na3\n", "b.txt": "b1\n", "src/c.py": "c = 1\n", ".gitignore": "*.log\n"}
    )
    return made


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., GitWorkspace]:
    """Make a workspace of a directory; `run` and the constructor's options may be given."""

    def make(directory: Path, run: str = RUN, **options: object) -> GitWorkspace:
        place = tmp_path / "data" / "worktrees" / run
        ports = tmp_path / "data" / "ports"
        return GitWorkspace(directory, run, worktrees_dir=place, ports_dir=ports, **options)

    return make


@pytest.fixture
def workspace(repo: Repo, opened: Callable[..., GitWorkspace]) -> GitWorkspace:
    return opened(repo.path)
