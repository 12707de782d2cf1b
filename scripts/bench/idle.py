"""What a Ray that nobody uses takes: PSS by kind of process.

    python scripts/bench/idle.py [--serve]

A private Ray as a swarm starts it, the head of `codetether up`, and with `--dashboard`, against
`ray start --head` as it is (without and with the dashboard's server); `--serve` adds a head on
which Serve runs, where `ray[serve]` is installed. Each after 8 s of rest; in MB, with the
processes there are and the CPU they take while idle.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from memory import cpu_s, descendants, pss_bytes
from peer_programs import ours

_REST_S, _LOOK_S = 8.0, 5.0
_BIN = Path(sys.executable).parent
_KINDS = (
    ("gcs_server", "gcs_server"),
    ("raylet/raylet", "raylet"),
    ("dashboard/dashboard.py", "dashboard"),
    ("dashboard/agent.py", "dashboard agent"),
    ("runtime_env/agent/main.py", "runtime env agent"),
    ("autoscaler/_private/monitor.py", "autoscaler"),
    ("autoscaler/v2/monitor.py", "autoscaler"),
    ("log_monitor.py", "log monitor"),
    ("forkserver", "fork server"),
    ("ray::", "actor or worker"),
    ("default_worker.py", "worker"),
    ("codetether", "holder"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """One Ray at rest."""

    mb: float
    cpu_percent: float
    kinds: dict[str, float]
    """MB by kind of process."""


def look(pids: set[int]) -> Idle:
    """What processes hold now, and what CPU they take for a while."""
    kinds: Counter[str] = Counter()
    for pid in pids:
        kinds[_kind(pid)] += pss_bytes([pid])  # type: ignore[assignment]
    before, began = cpu_s(pids), time.monotonic()
    time.sleep(_LOOK_S)
    percent = (cpu_s(pids) - before) / (time.monotonic() - began) * 100
    by_kind = {kind: round(size / 1e6, 1) for kind, size in kinds.most_common()}
    return Idle(mb=sum(kinds.values()) / 1e6, cpu_percent=percent, kinds=by_kind)


def _kind(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return "gone"
    return next((kind for needle, kind in _KINDS if needle in words), words.split(" ")[0][-30:])


def private(work: Path) -> Idle:
    """A private Ray with what a run starts on it; this process is left out."""
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start
    from codetether_ray.actors.services import start_services

    async def measure() -> Idle:
        cluster = await join_or_start(ClusterOptions(data_dir=work / "data", address="local"))
        try:
            start_services(is_private=True)
            await asyncio.sleep(_REST_S)
            mine = {os.getpid()}
            return await asyncio.to_thread(look, descendants(mine) - mine)
        finally:
            await cluster.close()

    return asyncio.run(measure())


def held(work: Path, *options: str) -> Idle:
    """The head of `codetether up`."""
    program = ours(work / "-".join(("home", *options)), "http://127.0.0.1:9", "run")
    command = program.command[0]
    subprocess.run([command, "up", *options], env=program.env, check=True, capture_output=True)
    try:
        (path,) = Path(program.env["HOME"]).rglob("ray/head.json")
        time.sleep(_REST_S)
        return look(descendants([int(json.loads(path.read_text())["pid"])]))
    finally:
        subprocess.run([command, "down"], env=program.env, check=False, capture_output=True)


@contextmanager
def plain(work: Path, *options: str) -> Iterator[str]:
    """`ray start --head` in the foreground; its address."""
    name = f"r{len(list(work.iterdir()))}"
    home, port = work / f"{name}-home", _port()
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"}
    temp = tempfile.mkdtemp(prefix="ri-", dir="/tmp")
    process = subprocess.Popen(
        [
            *(_BIN / "ray", "start", "--head", "--block", f"--port={port}", f"--temp-dir={temp}"),
            *("--disable-usage-stats", "--object-store-memory=100000000", *options),
        ],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _started[str(port)] = process.pid
    try:
        _until_open(port)
        yield str(port)
    finally:
        below = descendants([process.pid])
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in below - {process.pid}:
            _end(pid)


_started: dict[str, int] = {}


def _end(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _until_open(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def as_it_is(work: Path, *options: str) -> Idle:
    """A plain head at rest."""
    with plain(work, *options) as port:
        time.sleep(_REST_S)
        root = _started[port]
        return look(descendants([root]) - {root})


_SERVE = """
import sys, time
import ray
from ray import serve
ray.init(address=sys.argv[1], log_to_driver=False)

@serve.deployment
class Hello:
    async def __call__(self):
        return "hello"

serve.run(Hello.bind())
print("up", flush=True)
time.sleep(60)
"""


def with_serve(work: Path) -> Idle:
    """A plain head with one deployment on Serve; the driver is left out."""
    with plain(work, "--include-dashboard=false") as port:
        root = _started[port]
        driver = subprocess.Popen(
            [sys.executable, "-c", _SERVE, f"127.0.0.1:{port}"],
            env={"PATH": os.environ["PATH"], "HOME": str(_home_of(root))},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert driver.stdout is not None
        try:
            driver.stdout.readline()
            time.sleep(_REST_S)
            return look(descendants([root]) - {root})
        finally:
            driver.kill()
            driver.wait()


def _home_of(pid: int) -> str:
    env = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    found = re.search(r"(?:^|\0)HOME=([^\0]*)", env)
    assert found is not None
    return found[1]


def line(case: str, mine: Idle, name: str, other: Idle | None) -> None:
    """One case, in memory and in CPU."""
    for unit, our, value in (
        ("MB", mine.mb, other and other.mb),
        ("% CPU", mine.cpu_percent, other and other.cpu_percent),
    ):
        row = {
            "bench": "idle",
            "case": case,
            "unit": unit,
            "ours": round(our, 1),
            "against": {name: round(value, 1)} if value else None,
            "ratio": round(our / value, 3) if value else None,
        }
        print(json.dumps(row | ({"kinds": mine.kinds} if unit == "MB" else {})), flush=True)


def main() -> None:
    """Print the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="also a head on which Serve runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="idle-") as name:
        work = Path(name)
        bare = as_it_is(work, "--include-dashboard=false")
        full = as_it_is(work, "--include-dashboard=true")
        line("private Ray of a run, no dashboard", private(work), "ray start, no dashboard", bare)
        line("head of `codetether up`", held(work), "ray start, no dashboard", bare)
        line("head of `codetether up --dashboard`", held(work, "--dashboard"), "ray start", full)
        if options.serve:
            line("plain head with Serve", with_serve(work), "ray start, no dashboard", bare)


if __name__ == "__main__":
    main()
