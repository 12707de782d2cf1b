"""Nothing is lost: disks that lie, crashes everywhere, two writers at once. Ray is out of reach."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: a cell that only --full runs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("full") and not config.getoption("--full"):
            item.add_marker(pytest.mark.skip(reason="--full runs it"))
