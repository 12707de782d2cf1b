"""How a key result is measured, and what a measurement found. Values only: they travel."""

from dataclasses import dataclass
from typing import ClassVar, Literal

Parser = Literal["exit_status", "regex", "json", "number"]
PARSERS: tuple[Parser, ...] = ("exit_status", "regex", "json", "number")
Network = Literal["public", "loopback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandMeasure:
    """A shell command, run in a clean tree, and how its output becomes a number.

    `exit_status`: 1 where it ended with 0, else 0. `regex`: the first group of the last match of
    `pattern`. `json`: the number at `json_path` of the JSON that it printed. `number`: the one
    number in the last line.
    """

    tag: ClassVar[str] = "command"
    command: str
    parse: Parser = "exit_status"
    pattern: str = ""
    json_path: str = ""
    any_exit: bool = False
    """Whether the output counts although the command did not end with 0."""
    files: tuple[str, ...] = ()
    """Files and directories that measure: they are as they were when the key result was approved,
    as are the scripts that the command names."""
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeasure:
    """A file of the tree: 1 where it is there (and holds `contains`), else 0.

    With `json_path` it is the number there instead.
    """

    tag: ClassVar[str] = "file"
    path: str
    contains: str = ""
    json_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMeasure:
    """An address: 1 where GET answers with `status`, else 0.

    With `json_path` it is the number there instead. `loopback` reaches this machine alone,
    `public` what everybody can reach; nothing reaches a private network.
    """

    tag: ClassVar[str] = "http"
    url: str
    status: int = 200
    json_path: str = ""
    network: Network = "public"
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricMeasure:
    """Criteria that a second model judges: how many of them are met, each with a quotation.

    A quotation must stand word for word in the change or in a file; without one nothing is met.
    """

    tag: ClassVar[str] = "rubric"
    criteria: tuple[str, ...]


MeasureTerms = CommandMeasure | FileMeasure | HttpMeasure | RubricMeasure


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureAt:
    """What is to be measured."""

    turn: int
    """After how many turns of the relay; 0: the baseline, before the first."""
    commit: str
    """The tree that is measured."""
    approved: str
    """The commit from which what measures is taken: the run's base when it was approved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KrReading:
    """What measuring one key result found. `value` None: nothing is known, for the `reason`."""

    kr_id: str
    turn: int
    commit: str
    value: float | None = None
    reason: str = ""
    """Why there is no value; empty where there is one."""
    source: str = ""
    """What was asked: `command: …`, `file: …`, `http: …`, `rubric`."""
    evidence: tuple[str, ...] = ()
    """What it said: the tail of its output, an answer's status, quotations."""
    exit_code: int | None = None
    restored: tuple[str, ...] = ()
    """What measured, as it was when it was approved."""
    elapsed_s: float = 0.0
    measured_at: str = ""
    """RFC 3339, UTC."""

    @property
    def is_baseline(self) -> bool:
        """Whether it was taken before the first turn."""
        return self.turn == 0
