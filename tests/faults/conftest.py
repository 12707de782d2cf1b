"""Nothing is lost: disks that lie, crashes everywhere, two writers at once. Ray is out of reach."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
