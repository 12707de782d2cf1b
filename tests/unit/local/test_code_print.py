"""Which functions are strangers in a module that was loaded after the first look."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from codetether_ray.local.code_print import CodePrint

_NAME = "codetether_ray.late_for_a_test"
_TEXT = """
from contextlib import contextmanager

@contextmanager
def held():
    yield

def plain(): ...
"""


@pytest.fixture
def late(tmp_path: Path) -> ModuleType:
    """A module of ours that nobody has looked at."""
    path = tmp_path / "late.py"
    path.write_text(_TEXT)
    spec = importlib.util.spec_from_file_location(_NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_context_manager_of_a_late_module_is_its_own(
    late: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = CodePrint()
    monkeypatch.setitem(sys.modules, _NAME, late)
    assert known.learn() == []


def test_a_function_that_was_planted_in_a_late_module_is_told(
    late: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted() -> None: ...

    planted.__module__ = _NAME
    monkeypatch.setattr(late, "plain", planted)
    known = CodePrint()
    monkeypatch.setitem(sys.modules, _NAME, late)
    assert known.learn() == [f"{_NAME}.plain"]
