"""The `codetether` command as a process, as a user runs it."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.actors.forkserver.protocol import SWITCH

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.split("\n") if line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A home, a project directory, and the command in it."""

    home: Path
    project: Path
    env: dict[str, str]
    prefix: tuple[str, ...] = ()
    """Words before the command's own: where it runs on another host."""

    @property
    def data(self) -> Path:
        """Where the program keeps its data."""
        return self.home / ".local" / "share" / "codetether-agent"

    @property
    def binary(self) -> str:
        """The command itself."""
        return str(_BIN / "codetether")

    async def run(
        self, *arguments: str, stdin: str = "", timeout_s: float = 240, **env: str
    ) -> Ended:
        """Run to the end."""
        process = await self.start(*arguments, **env)
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(stdin.encode())
        return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())

    async def start(
        self, *arguments: str, terminal: int | None = None, **env: str
    ) -> asyncio.subprocess.Process:
        """Start, and let it run; with a terminal before it, if one is given."""
        return await asyncio.create_subprocess_exec(
            *self.prefix,
            self.binary,
            *arguments,
            cwd=self.project,
            env={**self.env, **env},
            stdin=terminal or asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=terminal or asyncio.subprocess.PIPE,
        )

    async def interrupted(
        self, process: asyncio.subprocess.Process, number: signal.Signals = signal.SIGINT
    ) -> Ended:
        """Send a signal and wait for the end."""
        process.send_signal(number)
        async with asyncio.timeout(180):
            out, err = await process.communicate()
        return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())


def make_program(folder: Path, **env: str) -> Program:
    """A fresh home and an empty project under `folder`."""
    home, project = folder / "home", folder / "project"
    home.mkdir()
    project.mkdir()
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    kept = {name: os.environ[name] for name in (SWITCH,) if name in os.environ}
    clean = {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", **kept, **env}
    return Program(home=home, project=project, env=clean)
