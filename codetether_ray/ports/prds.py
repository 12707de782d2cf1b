"""What the tool `prd` needs: PRDs made and judged by the rules that Ralph reads them with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from codetether_ray.core.codec import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class PrdReport:
    """A PRD and what is to be said of it; sentences carry JSON paths."""

    text: str = ""
    """The file's text; empty where there are problems."""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passed: int = 0
    waves: tuple[int, ...] = ()
    """How many stories can be worked on at once, wave after wave."""

    @property
    def is_valid(self) -> bool:
        """Whether it can be worked on."""
        return not self.problems


class PrdDesk(Protocol):
    """Makes and judges PRDs. Both block, for small files."""

    def compose(self, root: Path, parts: JsonObject) -> PrdReport:
        """A PRD of these members, no story passed; without gates those that fit `root`."""
        ...

    def judge(self, data: bytes) -> PrdReport:
        """What a file of these bytes would be worth."""
        ...
