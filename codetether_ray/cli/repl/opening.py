"""Opens the prompt on this process's terminal, and leaves the terminal as it was."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit.input import create_input
from prompt_toolkit.output import create_output
from prompt_toolkit.patch_stdout import patch_stdout

from codetether_ray import __version__
from codetether_ray.bootstrap.driver import is_asked_to_stop
from codetether_ray.bootstrap.known_secrets import values_here
from codetether_ray.bootstrap.resuming import unfinished_here
from codetether_ray.bootstrap.several import several_runs
from codetether_ray.cli import words
from codetether_ray.cli.repl.app import Repl
from codetether_ray.cli.repl.completion import Known, ReplCompleter
from codetether_ray.cli.repl.history import MaskedHistory, path_of
from codetether_ray.config.paths import find_paths
from codetether_ray.core.masking import Masker
from codetether_ray.journal.listing import list_runs
from codetether_ray.providers.catalog import MODELS

_SHOWN_RUNS = 30
_RESTORE = b"\x1b[?2004l\x1b[?25h\x1b[0m"
"""No bracketed paste, a cursor, no colour."""


def open_repl() -> int:
    """Talk at the terminal until it is left; the exit code."""
    with terminal_as_it_was():
        code = asyncio.run(_opened())
    _drop_what_nobody_reads()
    return code


def _drop_what_nobody_reads() -> None:
    """Where the terminal was closed, let the interpreter's last flush go nowhere."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)


@contextlib.contextmanager
def terminal_as_it_was() -> Iterator[None]:
    """Put the terminal's modes back at the end, whatever happened inside."""
    number = sys.stdin.fileno()
    modes = termios.tcgetattr(number)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # a terminal may be gone
            termios.tcsetattr(number, termios.TCSADRAIN, modes)
            os.write(1, _RESTORE)


async def _opened() -> int:
    directory = Path.cwd().resolve()
    paths = find_paths(os.environ)
    history = MaskedHistory(path_of(paths.data), Masker(await values_here(os.environ, paths.data)))
    repl = Repl(
        directory,
        paths.data,
        input=create_input(),
        output=create_output(),
        history=history,
    )
    repl.complete_with(ReplCompleter(directory, _known(repl, paths.data)))
    history.keep_if(lambda: repl.desk.current is None)
    _take_signals(repl, paths.data)
    with patch_stdout(raw=True):
        async with several_runs():
            repl.say(f"{__version__}; /help lists commands, Ctrl-D leaves")
            repl.spawn(_remind(repl, paths.data))
            code = await repl.run()
    if repl.left_behind:
        _go(repl, code)
    return code


def _go(repl: Repl, code: int) -> None:
    """End this process without a word to its runs: their supervisors go on."""
    lines = "".join(f"codetether: it goes on; follow it with: {c}\n" for c in repl.left_behind)
    with contextlib.suppress(OSError):
        os.write(1, lines.encode() + _RESTORE)
    os._exit(code)


def _take_signals(repl: Repl, data_dir: Path) -> None:
    """SIGINT stops the run that `codetether cancel` named, or is Ctrl-C; others end the prompt."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        named = [job for job in repl.jobs.under_way if is_asked_to_stop(data_dir, job.run_id)]
        for job in named:
            job.stop()
            repl.say(f"{job.name} is stopped by another process")
        if not named:
            repl.signalled()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, lambda: repl.end(is_hung_up=False))
    loop.add_signal_handler(signal.SIGHUP, lambda: repl.end(is_hung_up=True))


async def _remind(repl: Repl, data_dir: Path) -> None:
    """Say which run was cut off here."""
    runs = await asyncio.to_thread(list_runs, data_dir, newest=_SHOWN_RUNS)
    found = unfinished_here(runs, repl.talk.directory)
    if found is not None:
        title = words.one_line(found.title, 60)
        repl.say(f'"{title}" was cut off here; /resume {found.id} goes on with it')


def _known(repl: Repl, data_dir: Path) -> Known:
    def runs() -> Iterable[tuple[str, str]]:
        found = list_runs(data_dir, newest=_SHOWN_RUNS)
        return ((run.id, words.one_line(run.title, 50)) for run in found)

    return Known(
        models=lambda: (f"{info.provider}/{info.id}" for info in MODELS.values()),
        runs=runs,
        jobs=lambda: ((str(job.number), job.title) for job in repl.jobs.under_way),
    )
