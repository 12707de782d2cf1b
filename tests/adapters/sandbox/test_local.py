import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from codetether_ray.core.errors import ToolError
from codetether_ray.sandbox.local import LocalSandbox

# Starts a child, a grandchild that left the session, and an orphan that left it too; each writes
# its id to a file of its own and sleeps.
_FAMILY = """
sleep 300 & echo $! > child
setsid sh -c 'echo $$ > escaped; trap "" TERM HUP INT; while :; do sleep 300; done' &
(setsid sh -c '(setsid sh -c "echo \\$\\$ > orphan; exec sleep 300" &) ; exit 0' &)
while ! test -s child -a -s escaped -a -s orphan; do sleep 0.01; done
"""
_NAMES = ("child", "escaped", "orphan")


def _pids(root: Path) -> list[int]:
    return [int((root / name).read_text()) for name in _NAMES]


def _living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if _is_living(pid)]


def _is_living(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(pids: list[int], seconds: float = 60) -> list[int]:
    deadline = time.monotonic() + seconds
    while (left := _living(pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


async def _until_there(root: Path) -> None:
    while not all((root / n).exists() and (root / n).read_text().strip() for n in _NAMES):
        await asyncio.sleep(0.01)


@pytest.fixture
def sandbox() -> LocalSandbox:
    return LocalSandbox()


async def test_a_command_is_run_in_its_directory_and_its_output_given_back(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    done = await sandbox.run("pwd; echo err >&2; exit 3", cwd=tmp_path)
    assert done.exit_code == 3
    assert done.output == f"{tmp_path}\nerr\n"
    assert done.total_bytes == len(done.output)
    assert not done.timed_out


async def test_a_sequence_is_run_without_a_shell(sandbox: LocalSandbox, tmp_path: Path) -> None:
    done = await sandbox.run(["echo", "$HOME", "a b"], cwd=tmp_path)
    assert done.output == "$HOME a b\n"


async def test_a_signal_is_a_negative_exit_code(sandbox: LocalSandbox, tmp_path: Path) -> None:
    assert (await sandbox.run("kill -SEGV $$", cwd=tmp_path)).exit_code == -signal.SIGSEGV


async def test_what_cannot_be_started_is_said(sandbox: LocalSandbox, tmp_path: Path) -> None:
    done = await sandbox.run(["no-such-program"], cwd=tmp_path)
    assert done.exit_code == 127
    assert "no-such-program" in done.output
    with pytest.raises(ToolError, match="could not be started"):
        await sandbox.run("true", cwd=tmp_path / "missing")


async def test_input_reaches_the_command_and_none_ends_at_once(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    data = b"x" * 300_000
    assert (await sandbox.run("wc -c", cwd=tmp_path, stdin=data)).output.strip() == "300000"
    assert (await sandbox.run("cat", cwd=tmp_path)).output == ""


async def test_a_command_sees_the_allowed_variables_and_its_own(tmp_path: Path) -> None:
    sandbox = LocalSandbox(environ={"PATH": os.environ["PATH"], "VAULT_TOKEN": "t", "LANG": "C"})
    done = await sandbox.run("env", cwd=tmp_path, env={"PORT": "4000"})
    assert "VAULT_TOKEN" not in done.output
    assert "PORT=4000" in done.output
    assert "LANG=C" in done.output


async def test_output_is_streamed_and_cut_in_the_middle(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    pieces: list[str] = []
    command = [sys.executable, "-c", "print('é' * 100_000, end='')"]
    done = await sandbox.run(command, cwd=tmp_path, max_output_bytes=1001, on_output=pieces.append)
    assert "".join(pieces) == "é" * 100_000
    assert done.is_truncated
    assert done.total_bytes == 200_000
    assert "of 200,000 bytes" in done.output
    assert "�" not in done.output


async def test_what_a_command_left_running_ends_with_it_and_this_is_said(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    done = await sandbox.run(_FAMILY + "echo done", cwd=tmp_path)
    assert done.exit_code == 0
    assert done.output.startswith("done\n[")
    assert "left in the background ended" in done.output
    assert not _living(_pids(tmp_path))


async def test_the_whole_tree_ends_at_the_timeout(sandbox: LocalSandbox, tmp_path: Path) -> None:
    for seconds in (1.0, 10.0, 60.0):  # until that is enough for the tree to stand
        done = await sandbox.run(_FAMILY + "echo there; sleep 300", cwd=tmp_path, timeout_s=seconds)
        assert done.timed_out
        if done.output:
            break
    assert done.output == "there\n"
    assert not _living(_pids(tmp_path))


async def test_the_whole_tree_ends_when_the_caller_is_cancelled(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    running = asyncio.ensure_future(sandbox.run(_FAMILY + "sleep 300", cwd=tmp_path))
    await _until_there(tmp_path)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not _living(_pids(tmp_path))


async def test_a_second_cancel_does_not_leave_processes_behind(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    running = asyncio.ensure_future(sandbox.run(_FAMILY + "sleep 300", cwd=tmp_path))
    await _until_there(tmp_path)
    running.cancel()
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not _living(_pids(tmp_path))


_AGENT = """
import asyncio, sys
from pathlib import Path
from codetether_ray.sandbox.local import LocalSandbox

asyncio.run(LocalSandbox().run(sys.argv[1], cwd=Path(sys.argv[2])))
"""


async def test_the_whole_tree_ends_when_the_agents_process_is_killed(tmp_path: Path) -> None:
    agent = subprocess.Popen([sys.executable, "-c", _AGENT, _FAMILY + "sleep 300", str(tmp_path)])
    try:
        await _until_there(tmp_path)
        pids = _pids(tmp_path)
        assert _living(pids) == pids
        tree = [child.pid for child in psutil.Process(agent.pid).children(recursive=True)]
        assert set(pids) <= set(tree)
    finally:
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    assert not _wait_for_end(tree)


_FORKING_AGENT = """
import asyncio, os, sys, time
from pathlib import Path
from codetether_ray.sandbox.local import LocalSandbox

async def main():
    running = asyncio.ensure_future(LocalSandbox().run(sys.argv[1], cwd=Path(sys.argv[2])))
    await asyncio.sleep(0.2)
    if os.fork() == 0:  # holds every descriptor of the agent, as multiprocessing does
        time.sleep(30)
        os._exit(0)
    await running

asyncio.run(main())
"""


@pytest.mark.matrix
async def test_the_tree_ends_with_the_agent_though_a_fork_of_it_lives_on(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _FORKING_AGENT, _FAMILY + "sleep 300", str(tmp_path)]
    agent = subprocess.Popen(words, start_new_session=True)
    try:
        await _until_there(tmp_path)
        await asyncio.sleep(0.5)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        assert not _wait_for_end(_pids(tmp_path))
    finally:
        os.killpg(agent.pid, signal.SIGKILL)


async def test_when_the_reaper_is_killed_the_command_does_not_go_on(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    done = await sandbox.run("sleep 300 & kill -9 $PPID; sleep 300", cwd=tmp_path)
    assert done.exit_code == -signal.SIGKILL


async def test_a_memory_limit_holds(tmp_path: Path) -> None:
    sandbox = LocalSandbox(memory_bytes=200_000_000)
    command = [sys.executable, "-c", "b = bytearray(400_000_000); print('got it')"]
    done = await sandbox.run(command, cwd=tmp_path)
    assert done.exit_code != 0
    assert "MemoryError" in done.output


async def test_commands_run_side_by_side_and_leave_no_descriptor_behind(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    await sandbox.run("true", cwd=tmp_path)
    before = set(Path("/proc/self/fd").iterdir())
    done = await asyncio.gather(*(sandbox.run(f"echo {n}", cwd=tmp_path) for n in range(8)))
    assert [d.output for d in done] == [f"{n}\n" for n in range(8)]
    assert set(Path("/proc/self/fd").iterdir()) == before


async def test_a_loop_outside_the_main_thread_can_run_commands(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    def elsewhere() -> str:
        return asyncio.run(sandbox.run("echo there", cwd=tmp_path)).output

    assert await asyncio.to_thread(elsewhere) == "there\n"
