"""PRDs for agents: the port of the tool `prd`, and which gates fit a repository.

Ralph's rules are imported when they are first asked for: most agents never do.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.core.codec import JsonObject
from codetether_ray.ports.prds import PrdReport

if TYPE_CHECKING:
    from codetether_ray.ralph.languages import Found

_MOST_CHARS = 1_000_000
"""Of a file at the root that is looked at."""


class RepositoryPrds:
    """A `PrdDesk` for repositories of this machine."""

    def compose(self, root: Path, parts: JsonObject) -> PrdReport:
        """A PRD of these members; the same repository and members give the same text."""
        from codetether_ray.core.errors import PrdError
        from codetether_ray.ralph.drafting import compose

        try:
            text = compose(parts, gates_of(root).checks)
        except PrdError as error:
            return PrdReport(problems=error.problems)
        return self.judge(text.bytes)

    def judge(self, data: bytes) -> PrdReport:
        """What a file of these bytes would be worth."""
        from codetether_ray.core.errors import PrdError
        from codetether_ray.ralph.planning import waves
        from codetether_ray.ralph.prd_text import read_prd

        try:
            text = read_prd(data)
        except PrdError as error:
            return PrdReport(problems=error.problems)
        return PrdReport(
            text=text.text,
            warnings=text.warnings,
            passed=len(text.prd.passed),
            waves=tuple(len(wave) for wave in waves(text.prd, passed=())),
        )


def gates_of(directory: Path) -> "Found":
    """The gates that fit what is at the root of a repository."""
    from codetether_ray.ralph.languages import READ, find_gates

    names = sorted(entry.name for entry in directory.iterdir())
    return find_gates({name: _text(directory / name) if name in READ else "" for name in names})


def _text(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_CHARS)
    except OSError:
        return ""
