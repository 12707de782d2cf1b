"""Progress on stderr."""

import io

from codetether_ray.cli.live import PlainProgress, TerminalProgress, open_progress
from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.spec import Correlation


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(event: Event, time: float) -> Record:
    return Record(correlation=Correlation(run_id="r"), agent="", event=event, time=time)


STARTED = record(e.SwarmStarted(task="t", strategy="auto"), 100.0)
RUNNING = record(e.SubtaskChanged(id="a", name="a", status="running", agent="sub/a"), 101.5)


def test_a_stream_that_is_no_terminal_gets_one_plain_line_per_change() -> None:
    out = io.StringIO()
    progress = open_progress(out)
    progress.show(STARTED)
    progress.show(RUNNING)
    progress.close()
    assert out.getvalue() == "[    0.0 s] planning (auto)\n[    1.5 s] a: running\n"


def test_a_long_silence_is_broken_by_the_headline() -> None:
    out = io.StringIO()
    progress = PlainProgress(out)
    progress.tick()
    assert out.getvalue() == ""
    progress.show(STARTED)
    progress.tick()
    assert out.getvalue().count("\n") == 1
    progress.tick()
    assert "swarm · planning" in out.getvalue()


def test_a_terminal_gets_a_line_per_agent_and_keeps_the_last_state() -> None:
    out = Terminal()
    progress = open_progress(out)
    assert isinstance(progress, TerminalProgress)
    progress.show(STARTED)
    progress.show(RUNNING)
    progress.tick()
    progress.close()
    assert "running" in out.getvalue()
