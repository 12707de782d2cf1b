"""The root command, and how anything that goes wrong becomes an exit code and one sentence."""

import errno
import os
import sys
from typing import Any

import click

from codetether_ray import __version__
from codetether_ray.cli import exit_codes
from codetether_ray.cli.commands import COMMANDS
from codetether_ray.cli.lazy import LazyGroup
from codetether_ray.core import failpoints
from codetether_ray.core.errors import CodetetherError

PROGRAM = "codetether"


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 failed or partial, 2 usage, 3 a decision was needed and "
    "nobody could answer, 4 no or refused credentials, 124 --max-time was over, 130 interrupted.",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def root() -> None:
    """Distributed coding agents on Ray: one agent, or a swarm whose work becomes one branch.

    Without arguments, on a terminal, it opens a prompt.
    """


def run(arguments: list[str]) -> int:
    """Run a command line; return its exit code. Errors are one sentence on stderr."""
    failpoints.arm(os.environ)
    try:
        if not arguments and _is_terminal():
            from codetether_ray.cli.repl.opening import open_repl

            return open_repl()
        answer: Any = root.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.Abort:
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CodetetherError as error:
        return _say(str(error), exit_codes.of_error(error))
    except KeyboardInterrupt:
        return _interrupted()
    except OSError as error:
        return _reader_gone() if error.errno == errno.EPIPE else _unexpected(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return _unexpected(error)
    return answer if isinstance(answer, int) else exit_codes.SUCCESS


def _is_terminal() -> bool:
    """Whether somebody sits before this process, and can be talked with."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _say(sentence: str, code: int) -> int:
    click.echo(f"{PROGRAM}: {sentence}", err=True)
    return code


def _interrupted() -> int:
    return _say("interrupted", exit_codes.INTERRUPTED)


def _reader_gone() -> int:
    """Nobody reads our output any more (`| head`); keep the interpreter's last flush quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_codes.FAILED


def _unexpected(error: Exception) -> int:
    from codetether_ray.cli.crash import write_report

    words = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    where = write_report(error)
    return _say(f"unexpected {what} (a fault of ours; traceback: {where})", exit_codes.FAILED)
