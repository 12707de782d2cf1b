"""Gates in a program's home: a script, git or a worktree's setup waits there until it may go on.

`furnish` puts the scripts where the program finds them; `Gates` arms one place and opens it.
"""

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

from tests.e2e.program import Program

_HOLD = """#!/bin/sh
# hold WHERE: wait for the blow, if this is the place of it
cd "$HOME/gates" || exit 0
[ "$(cat armed)" = "$1" ] || exit 0
n=$(ls | grep -c '^reached[.]')
[ "$n" -lt "$(cat strikes)" ] || exit 0
: > "reached.$n"
while [ ! -e "open.$n" ]; do sleep 0.02; done
"""
_GIT = """#!/bin/sh
case " $* " in *" merge-tree "*) "$HOME/bin/hold" merge ;; esac
exec {git} "$@"
"""
_SETUP = """#!/bin/sh
case "$PWD" in *gamma*) "$HOME/bin/hold" between ;; esac
"""


def furnish(program: Program, **env: str) -> Program:
    """Put the gates' scripts into a program's home and its `PATH`, and `env` into its variables."""
    git = shutil.which("git")
    assert git is not None
    folder = program.home / "bin"
    folder.mkdir()
    for name, text in (("hold", _HOLD), ("git", _GIT.format(git=git)), ("setup", _SETUP)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    config = program.home / ".config" / "codetether-agent"
    config.mkdir(parents=True)
    (config / "config.toml").write_text(f'[workspace]\nsetup = "{folder / "setup"}"\n')
    path = f"{folder}{os.pathsep}{program.env['PATH']}"
    return replace(program, env={**program.env, "PATH": path, **env})


class Gates:
    """The gates of one run: whoever comes to `place` waits, the first `times` times."""

    def __init__(self, home: Path, place: str, times: int) -> None:
        self._folder = home / "gates"
        self._times = times
        self._folder.mkdir(exist_ok=True)
        for left in self._folder.iterdir():
            left.unlink()
        (self._folder / "strikes").write_text(str(times))
        (self._folder / "armed").write_text(place)

    async def hold(self) -> None:
        """Wait, as the script does, if fewer than `times` have waited."""
        number = len(list(self._folder.glob("reached.*")))
        if number < self._times:
            (self._folder / f"reached.{number}").touch()
            await self._until(f"open.{number}")

    async def reached(self, number: int) -> None:
        """Return when somebody waits for the `number`th time (from 0)."""
        await self._until(f"reached.{number}")

    def open(self, number: int) -> None:
        """Let who waits for the `number`th time go on."""
        (self._folder / f"open.{number}").touch()

    async def all_open(self) -> None:
        """Return when all have been opened."""
        await self._until(f"open.{self._times - 1}")

    async def _until(self, name: str) -> None:
        while not (self._folder / name).exists():
            await asyncio.sleep(0.02)
