"""docs/reference/cli.md."""

import runpy
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def test_the_reference_of_the_command_line_is_fresh() -> None:
    made = runpy.run_path(str(_ROOT / "scripts" / "gen_cli_reference"))["page"]()
    written = (_ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert written == made, "run scripts/gen_cli_reference"
