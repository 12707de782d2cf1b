"""An ingress over a truth of its own, a model behind real HTTP, a repository as a bundle."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.testing.model_server import ModelServer, say
from tests.adapters.control.scene import Plane, opened
from tests.e2e.swarm_scene import git, make_repository


@pytest.fixture
def script() -> Callable[..., Any]:
    """What the model says."""
    return lambda _: say("nothing to do")


@pytest.fixture
async def plane(
    tmp_path: Path, script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Plane]:
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path / "data"))
    async with ModelServer(script) as model, opened(tmp_path / "data") as found:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    make_repository(folder)
    return folder


@pytest.fixture
def bundle(project: Path) -> bytes:
    return bundled(project)


def bundled(project: Path) -> bytes:
    path = project.with_suffix(".bundle")
    git(project, "bundle", "create", "--quiet", str(path), "--all")
    return path.read_bytes()
