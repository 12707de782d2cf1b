"""Options and markers of the whole suite."""

import hashlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from codetether_ray.actors.forkserver.protocol import SWITCH
from tests.verifying import EXCUSED, places, verify_all, watching

_SLICES = 16  # of a long matrix, one sixteenth runs by default
_EXAMPLES = 25  # of a property by default; --full looks at Hypothesis' own 100, by chance


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every cell of the long matrices")
    parser.addoption("--live", action="store_true", help="run tests that need keys or a GPU")


def pytest_configure(config: pytest.Config) -> None:
    """Properties: the same examples in each run, and none fails by how busy the machine is."""
    timeless = hypothesis.settings(
        deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.register_profile("full", timeless, derandomize=False, max_examples=100)
    hypothesis.settings.register_profile(
        "slice", timeless, derandomize=True, database=None, max_examples=_EXAMPLES
    )
    if not config.getoption("--hypothesis-profile", default=None):
        hypothesis.settings.load_profile("full" if config.getoption("--full") else "slice")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return done.stdout.strip() or "none"


def _group(item: pytest.Item) -> str:
    """What one worker runs, where several do: a file; all that shares a cluster of the session."""
    place = item.path.relative_to(Path(__file__).parent)
    return place.parts[0] if place.parts[0] in ("ray", "cluster", "ingress") else str(place)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = int(hashlib.sha256(_commit().encode()).hexdigest(), 16) % _SLICES
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        if item.get_closest_marker("live") and not config.getoption("--live"):
            item.add_marker(pytest.mark.skip(reason="needs --live"))
        if item.get_closest_marker("full") and not config.getoption("--full"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; --full runs it"))
        if item.get_closest_marker("matrix") and not config.getoption("--full"):
            cell = int(hashlib.sha256(item.nodeid.encode()).hexdigest(), 16) % _SLICES
            if cell != chosen:
                item.add_marker(pytest.mark.skip(reason="another slice's turn; --full runs all"))


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Homes beside each other: `mktemp` would look at all that there are for each next one."""
    root = tmp_path_factory.mktemp("homes")
    return (root / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own configuration and data.

    But that `CODETETHER_FORK_SERVER=0 pytest …` is to be a suite with workers as Ray starts them.
    """
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in list(os.environ):
        if name.startswith(("CODETETHER_", "VAULT_", "XDG_")) and name != SWITCH:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _verified_runs(request: pytest.FixtureRequest) -> Iterator[None]:
    """`codetether replay --verify` passes on every run of the suite."""
    path = request.node.nodeid
    if request.node.get_closest_marker("damages_runs") or path.startswith(tuple(EXCUSED)):
        yield
        return
    has_folder = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if has_folder else None
    with pytest.MonkeyPatch.context() as patch, watching(patch) as seen:
        yield
    verify_all(seen | (places(folder) if folder is not None else set()))
