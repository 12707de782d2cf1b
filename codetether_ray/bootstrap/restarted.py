"""What a run's earlier process has recorded of the try that was given to its supervisor."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.session.home import MAIN
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, UnknownRunError
from codetether_ray.core.events import Record, RunFinished, RunStarted, TurnFinished
from codetether_ray.core.spec import TurnResult
from codetether_ray.journal.reader import read_records


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Whether the try had begun, and whether it had come to its end."""

    has_begun: bool = False
    finished: RunFinished | None = None
    turn: TurnResult | None = None
    """How the main agent's last turn ended."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Known":
        """Fold the records of the try."""
        has_begun, finished, turn = False, None, None
        for record in records:
            match record.event:
                case RunStarted():
                    has_begun, finished = True, None
                case RunFinished() as event:
                    finished = event
                case TurnFinished(result=result) if record.agent == MAIN:
                    turn = result
        return cls(has_begun=has_begun, finished=finished, turn=turn)

    @staticmethod
    def result(finished: RunFinished) -> JsonObject:
        """The result of a run of several agents that had come to its end.

        Raises:
            CodetetherError: it had failed before there was a result.
        """
        if "exit_code" not in finished.summary:
            raise CodetetherError(str(finished.summary.get("error", finished.outcome)))
        return finished.summary


def known_of(data_dir: str, run_id: str, since: int | None) -> Known:
    """What the journal holds from record `since` on; nothing where that is None."""
    if since is None:
        return Known()
    kinds = {RunStarted.tag, RunFinished.tag, TurnFinished.tag}
    try:
        return Known.of(
            read_records(Path(data_dir), run_id, kinds=kinds, after=since - 1, fetch=archived())
        )
    except UnknownRunError:
        return Known()
