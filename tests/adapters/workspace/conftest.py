"""A repository with three files, and a way to open runs in it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codetether_ray.workspace.git import GitWorkspace
from tests.adapters.workspace.repos import RUN, Repo

FILES = {"a.txt": "a1\na2\na3\n", "b.txt": "b1\n", "src/c.py": "c = 1\n", ".gitignore": "*.log\n"}


MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory where that can be: every commit is flushed, which a disk makes slow."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("workspace")
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="codetether-test-") as place:
        yield Path(place)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Repo(tmp_path_factory.mktemp("template") / "project")
    made.commit(FILES)
    return made.path


@pytest.fixture
def repo(tmp_path: Path, template: Path) -> Repo:
    shutil.copytree(template, tmp_path / "project")
    return Repo.at(tmp_path / "project")


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
