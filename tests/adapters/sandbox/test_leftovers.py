"""Processes that outlived their agent are found by their marks and ended; nobody else's are."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from codetether_ray.sandbox.leftovers import end_leftovers, marks
from codetether_ray.sandbox.local import LocalSandbox

_RUN, _OTHER = f"ses_{os.getpid()}_a", f"ses_{os.getpid()}_b"
_SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
_STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('up', flush=True); time.sleep(600)",
]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def begin(program: list[str], run: str, agent: str = "main") -> subprocess.Popen[str]:
        env = {**os.environ, **marks(run, agent)}
        process = subprocess.Popen(program, env=env, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_runs_processes_end_and_no_others(start: Start) -> None:
    mine, other = start(_SLEEP, _RUN), start(_SLEEP, _OTHER)
    assert end_leftovers(_RUN) == 1
    assert mine.wait(5) == -signal.SIGTERM
    assert other.poll() is None
    assert end_leftovers(_RUN) == 0


def test_one_agents_processes_end_and_not_its_siblings(start: Start) -> None:
    one, two = start(_SLEEP, _RUN, "sub/one"), start(_SLEEP, _RUN, "sub/two")
    assert end_leftovers(_RUN, "sub/one") == 1
    assert one.wait(5) == -signal.SIGTERM
    assert two.poll() is None


def test_one_that_will_not_and_one_that_is_stopped_end_too(start: Start) -> None:
    stubborn, stopped = start(_STUBBORN, _RUN), start(_SLEEP, _RUN)
    os.kill(stopped.pid, signal.SIGSTOP)
    assert end_leftovers(_RUN) == 2
    assert stubborn.wait(5) == -signal.SIGKILL
    assert stopped.wait(5) in (-signal.SIGTERM, -signal.SIGKILL)


def test_whoever_asks_is_spared_though_it_carries_the_marks() -> None:
    program = (
        "from codetether_ray.sandbox.leftovers import end_leftovers; "
        f"print('ended', end_leftovers({_RUN!r}))"
    )
    env = {**os.environ, **marks(_RUN, "main")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "ended 0\n"


async def test_every_command_of_a_sandbox_carries_the_marks(tmp_path) -> None:
    sandbox = LocalSandbox(marks=marks(_RUN, "sub/one"))
    done = await sandbox.run("echo $CODETETHER_RUN $CODETETHER_AGENT", cwd=tmp_path, env={"A": "1"})
    assert done.output == f"{_RUN} sub/one\n"
