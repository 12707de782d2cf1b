"""What a Ralph run was asked for, complete."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.core.ids import RunKind
from codetether_ray.ralph.options import GATE_TIMEOUT_S, MAX_ITERATIONS, RalphOptions
from codetether_ray.tools.catalog import READ_TOOLS

PROGRESS = "progress.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphRequest(RunRequest):
    """The PRD and the terms."""

    kind: ClassVar[RunKind] = "ralph"
    verb: ClassVar[str] = "ralph run"

    ralph_id: str
    prd: str
    """The PRD's file, an absolute path on the machine of `directory`."""
    feature: str = ""
    prd_text: str = ""
    """What it held when it was asked for; only looked at where `directory` is elsewhere."""
    progress_text: str = ""
    """The same of its progress.txt."""
    max_iterations: int = MAX_ITERATIONS
    gate_timeout_s: float = GATE_TIMEOUT_S

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.ralph_id

    @property
    def title(self) -> str:
        """The PRD's feature."""
        return self.feature or Path(self.prd).name

    @property
    def prd_path(self) -> Path:
        """Where the PRD is to be read and saved: its own place, or the run's home."""
        if not self.repository:
            return Path(self.prd)
        return Path(self.data_dir) / "ralph" / self.ralph_id / Path(self.prd).name

    @property
    def progress_path(self) -> Path:
        """Its progress.txt, beside it."""
        return self.prd_path.with_name(PROGRESS)

    def in_repository(self, path: str, root: Path) -> str:
        """A file of the asker's by its path from the repository's root; empty if it is outside."""
        below = Path(os.path.relpath(path, self.directory))
        if self.repository:
            found = os.path.normpath(Path(self.prefix) / below)
            return "" if found.startswith("..") else Path(found).as_posix()
        real, top = Path(path).resolve(), root.resolve()
        return real.relative_to(top).as_posix() if real.is_relative_to(top) else ""

    def options(self, root: str) -> RalphOptions:
        """The same in the coordinator's words; `root` is where agents without a tree look."""
        return RalphOptions(
            prd=self.prd,
            template=replace(self.template("ralph"), root=root),
            tools=self.tools(),
            diagnosis_tools=READ_TOOLS,
            max_iterations=self.max_iterations,
            parallel=self.parallel,
            gate_timeout_s=self.gate_timeout_s,
        )
