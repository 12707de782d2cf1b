"""Other coding agents and this one against one scripted model: processes, sub-agents, sessions.

    python scripts/bench/peers.py --peers FOLDER       # installs them there by npm, if they lack
    python scripts/bench/peers.py --no-peers           # ours alone

One run, the programs in turn, the model on the loopback address in a process of its own:

* `10 processes`: so many at once, each asks once (200 ms): wall time, and the most memory of all;
* `sub-agents`: one process whose model starts N sub-agents through its own tool, all of which wait
  for the model at the same time: memory per further agent from N=10 to N=100 (the most that was
  seen once all had asked), and when the last of 100 first asked;
* `50 sessions`: in one server (`opencode serve`) against 50 agents of one `codetether run`.

Ours again on a running head (`codetether up`): agents as actors and packed, with what the idle head
takes told beside what they take beyond it. What a program cannot be driven to is said on stderr.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory import Sampler, descendants, pss_bytes
from peer_programs import Program, folders, install, ours, peers, version

_HERE = Path(__file__).parent
_LIMIT_S = 150.0
_MB = 1e6
FEW, MANY, SESSIONS, PROCESSES = 10, 100, 50, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """One process with so many sub-agents: when the last one asked, and the memory by then."""

    last_s: float
    pss: float
    """Bytes."""


@contextmanager
def model() -> Iterator[str]:
    """The model's process; its address."""
    process = subprocess.Popen(
        [sys.executable, str(_HERE / "peers_model.py")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["root"]
    finally:
        process.terminate()
        process.wait()


def ask(url: str, post: bool = False) -> Any:
    """A JSON answer of the model's process."""
    with urllib.request.urlopen(url, data=b"{}" if post else None, timeout=10) as answer:
        return json.load(answer)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a program with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                continue


def processes(program: Program, work: Path) -> tuple[float, float]:
    """Wall seconds and the most bytes of `PROCESSES` at once."""
    began = time.monotonic()
    log = work / f"{program.name}.log"
    running = [program.start("hello", folder, log) for folder in folders(work / "alone", PROCESSES)]
    with Sampler(lambda: [p.pid for p in running]) as sampler:
        for process in running:
            _until_ended(program, process, began)
        wall = time.monotonic() - began
    if any(process.returncode for process in running):
        raise RuntimeError(f"{program.name} failed: {_tail(log)}")
    return wall, sampler.peak


def fan(program: Program, count: int, root: str, work: Path, roots: tuple[int, ...] = ()) -> Fan:
    """One process with `count` sub-agents; `roots` are further processes that are measured."""
    ask(f"{root}/reset", post=True)
    (folder,) = folders(work / f"fan-{count}-{time.monotonic_ns()}", 1)
    log = work / f"{program.name}-fan.log"
    began = time.monotonic()
    process = program.start(f"FAN {count}", folder, log)
    with Sampler(lambda: (process.pid, *roots)) as sampler:
        _until_ended(program, process, began)
    stats = ask(f"{root}/stats")
    if len(stats["parts"]) < count or process.returncode:
        raise RuntimeError(
            f"{program.name} started {len(stats['parts'])} of {count} sub-agents: {_tail(log)}"
        )
    last = max(stats["parts"])
    return Fan(last_s=last - stats["fanned_at"], pss=sampler.peak_since(last))


def _until_ended(program: Program, process: "subprocess.Popen[bytes]", began: float) -> None:
    try:
        process.wait(max(_LIMIT_S - (time.monotonic() - began), 1))
    except subprocess.TimeoutExpired:
        end(process)
        raise RuntimeError(f"{program.name} did not end within {_LIMIT_S:.0f} s") from None


def _tail(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-300:]


async def served_sessions(program: Program, work: Path) -> tuple[float, float]:
    """Wall seconds and bytes of `SESSIONS` sessions at once in `opencode serve`."""
    import aiohttp

    port = 40000 + os.getpid() % 20000
    (folder,) = folders(work / "serve", 1)
    server = subprocess.Popen(
        [program.command[0], "serve", "--port", str(port), "--hostname", "127.0.0.1"],
        cwd=folder,
        env=program.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    limit = aiohttp.ClientTimeout(total=_LIMIT_S)
    try:
        async with aiohttp.ClientSession(timeout=limit) as http:
            await _until_up(http, url)
            with Sampler(lambda: [server.pid]) as sampler:
                began = time.monotonic()
                await asyncio.gather(*(_session(http, url) for _ in range(SESSIONS)))
                wall = time.monotonic() - began
        return wall, sampler.peak
    finally:
        end(server)


async def _until_up(http: Any, url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            async with http.get(f"{url}/session") as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("opencode serve did not come up")
        await asyncio.sleep(0.1)


async def _session(http: Any, url: str) -> None:
    async with http.post(f"{url}/session", json={}) as answer:
        session = (await answer.json())["id"]
    body = {
        "model": {"providerID": "bench", "modelID": "m"},
        "parts": [{"type": "text", "text": "hello"}],
    }
    async with http.post(f"{url}/session/{session}/message", json=body) as answer:
        if answer.status != 200:
            raise RuntimeError(f"opencode serve answered {answer.status}")
        await answer.read()


def line(case: str, unit: str, our: float | None, name: str, value: float | None) -> None:
    """One case: ours beside one other."""
    both = our is not None and value
    row = {
        "bench": "peers",
        "case": case,
        "unit": unit,
        "ours": None if our is None else round(our, 3),
        "against": {name: None if value is None else round(value, 3)},
        "ratio": round(our / value, 3) if both else None,  # type: ignore[operator]
    }
    print(json.dumps(row), flush=True)


def tried(what: str, measure: Any) -> Any:
    """A measurement; what cannot be measured is said and left out."""
    try:
        return measure()
    except Exception as error:
        print(f"peers: {what}: {error}", file=sys.stderr, flush=True)
        return None


class Bench:
    """All cases of one run."""

    def __init__(self, programs: list[Program], own: Program, root: str, work: Path) -> None:
        self._programs, self._own, self._root, self._work = programs, own, root, work

    def warm_up(self) -> None:
        """Each once, so that what a first start makes (data bases, caches) is there."""
        for program in (self._own, *self._programs):
            (folder,) = folders(self._work / f"{program.name}-warm", 1)
            process = program.start("hello", folder, self._work / f"{program.name}-warm.log")
            tried(
                f"{program.name}, first start",
                lambda p=program, r=process: _until_ended(p, r, time.monotonic()),
            )

    def processes(self, rounds: int) -> None:
        """So many processes at once, the programs in turn."""
        found: dict[str, list[tuple[float, float]]] = {}
        for number in range(rounds):
            for program in (self._own, *self._programs):
                work = self._work / f"{program.name}-{number}"
                work.mkdir()
                one = tried(f"{program.name}, processes", lambda p=program, w=work: processes(p, w))
                found.setdefault(program.name, []).extend([one] if one else [])
        mine = found.pop(self._own.name)
        for name, values in found.items():
            case = f"{PROCESSES} processes at once"
            line(f"{case}: wall", "s", _middle(mine, 0), name, _middle(values, 0))
            line(f"{case}: peak PSS", "MB", _middle(mine, 1, _MB), name, _middle(values, 1, _MB))

    def fans(self, rounds: int) -> dict[str, tuple[float, float]]:
        """Sub-agents in one process: seconds to the last of many, MB per further one."""
        found = {}
        for program in (self._own, *self._programs):
            if not program.fans:
                continue
            pairs = [
                pair
                for _ in range(rounds)
                if (pair := tried(f"{program.name}, sub-agents", lambda p=program: self._pair(p)))
            ]
            if pairs:
                found[program.name] = _slope(pairs)
        mine = found.get(self._own.name)
        for name, theirs in found.items():
            if name != self._own.name:
                _fan_lines("in one process", mine, name, theirs)
        return found

    def _pair(self, program: Program, roots: tuple[int, ...] = ()) -> tuple[Fan, Fan]:
        few = fan(program, FEW, self._root, self._work, roots)
        return few, fan(program, MANY, self._root, self._work, roots)

    def sessions(self) -> None:
        """Fifty sessions in one server against fifty agents of one run."""
        opencode = next((p for p in self._programs if p.name == "opencode"), None)
        if opencode is None:
            return
        theirs = tried("opencode serve", lambda: asyncio.run(served_sessions(opencode, self._work)))
        mine = tried("our sessions", lambda: fan(self._own, SESSIONS, self._root, self._work))
        if theirs is None or mine is None:
            return
        case = f"{SESSIONS} agents at once in one process"
        line(f"{case}: until the last has asked / all answered", "s", mine.last_s,
             "opencode serve", theirs[0])  # fmt: skip
        line(f"{case}: peak PSS", "MB", mine.pss / _MB, "opencode serve", theirs[1] / _MB)

    def on_head(self, against: dict[str, tuple[float, float]]) -> None:
        """Ours on a running head: each agent a process of its own, and packed."""
        command = self._own.command[0]
        subprocess.run([command, "up"], env=self._own.env, check=True, capture_output=True)
        try:
            head = _holder(Path(self._own.env["HOME"]))
            time.sleep(3)
            idle = pss_bytes(descendants([head]))
            line("idle head of `codetether up`: PSS", "MB", idle / _MB, "none", None)
            for name, words in _forms(command):
                program = Program(
                    name=name, command=(command, *words, "--model", "local/m"), env=self._own.env
                )
                pair = tried(name, lambda p=program: self._pair(p, (head,)))
                if pair is None:
                    continue
                mine = _slope([pair])
                whole = pair[1].pss
                line(
                    f"{MANY} {name}: PSS with the head", "MB", whole / _MB, "idle head", idle / _MB
                )
                for peer, theirs in against.items():
                    if peer != self._own.name:
                        _fan_lines(name, mine, peer, theirs)
        finally:
            subprocess.run([command, "down"], env=self._own.env, check=False, capture_output=True)


def _forms(command: str) -> list[tuple[str, tuple[str, ...]]]:
    """How our agents can live on a cluster."""
    text = subprocess.run([command, "run", "--help"], capture_output=True, text=True, check=True)
    packed = [("packed agents", ("run", "--ray", "--pack", str(MANY)))]
    return [("actors", ("run", "--ray")), *(packed if "--pack" in text.stdout else [])]


def _holder(home: Path) -> int:
    """The process that holds the head."""
    (path,) = home.rglob("ray/head.json")
    return int(json.loads(path.read_text())["pid"])


def _middle(values: list[tuple[float, float]], at: int, scale: float = 1.0) -> float | None:
    return statistics.median(v[at] for v in values) / scale if values else None


def _slope(pairs: list[tuple[Fan, Fan]]) -> tuple[float, float]:
    """Medians: seconds to the last of many, MB per further agent."""
    last = statistics.median(many.last_s for _, many in pairs)
    each = statistics.median((many.pss - few.pss) / (MANY - FEW) for few, many in pairs)
    return last, each / _MB


def _fan_lines(
    form: str, mine: tuple[float, float] | None, name: str, theirs: tuple[float, float]
) -> None:
    case = f"{MANY} sub-agents, ours {form}"
    line(f"{case}: last one has asked after", "s", mine and mine[0], name, theirs[0])
    line(f"{case}: PSS per further agent", "MB", mine and mine[1], name, theirs[1])


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="where the peers are, or shall be installed")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-head", action="store_true", help="leave the cases on Ray out")
    parser.add_argument(
        "--only", choices=("processes", "sub-agents", "sessions", "head"), help="one part"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="peers-") as name, model() as root:
        work = Path(name)
        found: list[Program] = []
        if not options.no_peers:
            folder = options.peers or work / "npm"
            install(folder)
            found = peers(folder, work / "home", root)
            names = {p.name: version(p) for p in found}
            print(f"peers: {json.dumps(names)}", file=sys.stderr, flush=True)
        own = ours(work / "own", root, "run")
        bench = Bench(found, own, root, work)
        wanted = {options.only} if options.only else {"processes", "sub-agents", "sessions", "head"}
        bench.warm_up()
        if "processes" in wanted:
            bench.processes(options.rounds)
        fanned = bench.fans(options.rounds) if wanted & {"sub-agents", "head"} else {}
        if "sessions" in wanted:
            bench.sessions()
        if "head" in wanted and not options.no_head:
            bench.on_head(fanned)


if __name__ == "__main__":
    main()
