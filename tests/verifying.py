"""Every run that a test leaves behind is verified: bytes, order, sums, and each decision again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap.verify import verify_run
from codetether_ray.core.ids import is_run_id
from codetether_ray.local.journal import LocalJournal

EXCUSED = {
    "tests/adapters/journal/": "records of any kind in any order, to test the bytes alone",
    "tests/ray/test_run_twins.py::TestRayJournal": "the same, as the port's contract",
    "tests/faults/": "verified there, with the faults in mind",
    "tests/unit/cli/test_run_lists.py": "runs of one or two records, to be listed",
}
"""Tests whose runs no agent could have made, by the start of their path; and why."""

_HOME = ".local/share/codetether-agent"
_PLACES = ("", "data", _HOME, f"home/{_HOME}")
"""Where the tests of every folder keep a program's data, below their own directory."""


@contextmanager
def watching(patch: pytest.MonkeyPatch) -> Iterator[set[Path]]:
    """Collects the data directories of all journals that this process opens."""
    seen: set[Path] = set()
    opened: Callable[..., Any] = LocalJournal.open.__func__  # type: ignore[attr-defined]

    async def noted(cls: type[LocalJournal], data_dir: Path, *args: Any, **more: Any) -> Any:
        seen.add(Path(data_dir))
        return await opened(cls, data_dir, *args, **more)

    patch.setattr(LocalJournal, "open", classmethod(noted))
    yield seen


def places(folder: Path) -> set[Path]:
    """Data directories below a test's own folder."""
    return {folder / place for place in _PLACES if (folder / place / "events").is_dir()}


def verify_all(data_dirs: set[Path]) -> None:
    """Verify every run in them.

    Raises:
        AssertionError: a run departs from what its records should be.
    """
    for data_dir in data_dirs:
        root = data_dir / "events"
        for directory in root.iterdir() if root.is_dir() else ():
            if is_run_id(directory.name):
                verdict = verify_run(data_dir, directory.name)
                words = "\n".join(d.sentence() for d in verdict.departures)
                assert verdict.is_ok, f"run {directory.name} is {verdict.status}:\n{words}"
