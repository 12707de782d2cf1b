import asyncio
import io
from pathlib import Path

from codetether_ray.cli.unfinished import remind
from codetether_ray.config.paths import data_dir
from codetether_ray.core.events import Event, Record, RunFinished, RunStarted
from codetether_ray.core.spec import Correlation
from codetether_ray.local.journal import LocalJournal

_SESSION = "ses_0000000000_00000001"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _write(directory: Path, *events: Event) -> None:
    async def go() -> None:
        journal = await LocalJournal.open(data_dir(), _SESSION)
        where = Correlation(run_id=_SESSION)
        await journal.append(
            [Record(correlation=where, agent="run", event=event, time=1.0) for event in events]
        )
        await journal.close()

    asyncio.run(go())


def test_a_run_that_was_cut_off_here_is_named_with_its_command(tmp_path: Path) -> None:
    _write(tmp_path, RunStarted(kind="session", title="fix it", directory=str(tmp_path)))
    terminal, pipe = _Terminal(), io.StringIO()
    remind(tmp_path, terminal)
    remind(tmp_path, pipe)
    assert terminal.getvalue() == (
        f'codetether: "fix it" was cut off here; it goes on with: '
        f"codetether run --resume {_SESSION}\n"
    )
    assert pipe.getvalue() == ""
    elsewhere = _Terminal()
    remind(tmp_path / "other", elsewhere)
    assert elsewhere.getvalue() == ""


def test_one_that_came_to_an_end_is_not_spoken_of(tmp_path: Path) -> None:
    started = RunStarted(kind="session", title="fix it", directory=str(tmp_path))
    _write(tmp_path, started, RunFinished(outcome="cancelled"))
    terminal = _Terminal()
    remind(tmp_path, terminal)
    assert terminal.getvalue() == ""
