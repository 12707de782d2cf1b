"""The PRD and its progress.txt as a coordinator needs them: the state that people see."""

from collections.abc import Mapping
from typing import Protocol

from codetether_ray.ralph.prd import Prd


class Book(Protocol):
    """One PRD's files, this run's alone; its PRD is what the file holds."""

    @property
    def prd(self) -> Prd:
        """The PRD as it was read, or saved, last."""
        ...

    async def carried(self, story: str, entry: str) -> Mapping[str, bytes]:
        """What the files hold once a story has passed, of those that the base tracks.

        By path from the repository's root. Nothing is written.
        """
        ...

    async def passed(self, story: str, entry: str) -> None:
        """Save that a story has passed, and append its entry; again is as once."""
        ...

    async def amend(self, story: str, criterion: int, words: str) -> None:
        """Word an acceptance criterion (from 1) anew."""
        ...
