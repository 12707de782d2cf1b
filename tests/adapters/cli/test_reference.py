"""docs/reference/cli.md."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def test_the_reference_of_the_command_line_is_fresh() -> None:
    # a process of its own: click's commands remember the options of whoever ran them first
    command = [sys.executable, str(_ROOT / "scripts" / "gen_cli_reference"), "-"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    written = (_ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert written == made, "run scripts/gen_cli_reference"
