"""The command line as a process, in a home of its own."""

from pathlib import Path

import pytest

from tests.e2e.program import Program, make_program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The command in a fresh home and an empty project."""
    return make_program(tmp_path)
