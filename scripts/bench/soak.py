"""Many short runs on a kept head: what it holds stays flat.

    python scripts/bench/soak.py [--minutes 2] [--samples FILE]

`codetether up` once; then swarms of three agents, one after the other, each of which is planned,
works in worktrees, is merged and ends. After a warm-up of a fifth of the time, memory (PSS), open
descriptors, threads, processes and actors of the head's tree are sampled after each run, when
nothing works, and the files of the data directory, which keeps every run. A line each: `ours` is
the growth from the first fifth of the samples to the last, `against` the level that it began at;
and what a run takes. `--samples` appends each sample as it is taken, the warm-up's too, with the
memory of each process by its title (JSON lines): what a growth is made of, and what there was
should the soak be ended early.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from memory import descendants, pss_bytes
from peer_programs import Program, ours

_HERE = Path(__file__).parent
_SETTLE_S = 1.0
_SHARE = 5
"""Of the time is warm-up; of the samples are the beginning, and the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the head's processes hold together."""

    pss_mb: float
    descriptors: float
    threads: float
    processes: float
    actors: float
    """Processes that are some actor's."""
    files: float
    """Of the data directory: all runs are kept, so some come with each."""
    files_mb: float


def sample(root: int, data: Path) -> Sample:
    """Look at a process and all below it, and at where it keeps its data."""
    pids = descendants([root])
    titles = [_read(pid, "cmdline") for pid in pids]
    sizes = list(_sizes(data))
    return Sample(
        pss_mb=pss_bytes(pids) / 1e6,
        descriptors=sum(_count(pid, "fd") for pid in pids),
        threads=sum(_count(pid, "task") for pid in pids),
        processes=len(pids),
        actors=sum(t.startswith("ray::") and "IDLE" not in t.upper() for t in titles),
        files=len(sizes),
        files_mb=sum(sizes) / 1e6,
    )


def by_title(root: int) -> dict[str, dict[str, float]]:
    """Number, memory (PSS, MB) and descriptors of a tree's processes, by what they call themselves.

    An agent's number is left out of its title, so that agents count as one.
    """
    found: dict[str, dict[str, float]] = {}
    for pid in descendants([root]):
        words = _read(pid, "cmdline").split() or ["?"]
        title = Path(next((w for w in words if w.endswith(".py")), words[0])).name.split("/")[0]
        one = found.setdefault(title, {"n": 0, "pss_mb": 0.0, "fds": 0})
        one["n"] += 1
        one["pss_mb"] = round(one["pss_mb"] + pss_bytes([pid]) / 1e6, 2)
        one["fds"] += _count(pid, "fd")
    return found


def _sizes(folder: Path) -> Iterator[int]:
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                yield os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 - many


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _count(pid: int, name: str) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/{name}").iterdir())
    except OSError:
        return 0


def soak(
    minutes: float, work: Path, samples: Path | None = None
) -> tuple[list[Sample], list[float]]:
    """Samples after the warm-up and seconds that each run took; `samples` is written on the way."""
    model = subprocess.Popen(
        [
            *(sys.executable, "-m", "codetether_ray.testing.model_server"),
            *("--script", str(_HERE / "swarm_model.py"), "--forget"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BENCH_DELAY_S": "0.02"},
    )
    assert model.stdout is not None
    url = json.loads(model.stdout.readline())["url"].removesuffix("/v1")
    program = ours(work / "home", url, "swarm")
    folder = work / "project"
    subprocess.run([_HERE.parent / "demo_workspace", folder], check=True, capture_output=True)
    command = program.command[0]
    subprocess.run([command, "up"], env=program.env, check=True, capture_output=True)
    try:
        (head,) = (work / "home").rglob("ray/head.json")
        root = int(json.loads(head.read_text())["pid"])
        soaked = Soaked(root=root, data=head.parents[1], samples=samples)
        return _runs(minutes, program, folder, soaked)
    finally:
        subprocess.run([command, "down"], env=program.env, check=False, capture_output=True)
        model.terminate()
        model.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """The head that is looked at after each run."""

    root: int
    """Its Ray's first process."""
    data: Path
    samples: Path | None

    def look(self, runs: int, wall_s: float) -> Sample:
        """One sample, appended to the file where there is one."""
        found = sample(self.root, self.data)
        if self.samples is not None:
            row = {"runs": runs, "wall_s": wall_s, **asdict(found), "of": by_title(self.root)}
            with self.samples.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return found


def _runs(
    minutes: float, program: Program, folder: Path, soaked: Soaked
) -> tuple[list[Sample], list[float]]:
    began, samples, walls = time.monotonic(), list[Sample](), list[float]()
    until, warm = began + minutes * 60, began + minutes * 60 / _SHARE
    while time.monotonic() < until or len(samples) < _SHARE:
        at = time.monotonic()
        done = subprocess.run(
            [*program.command, "look at 3 parts", "--yes"],
            cwd=folder,
            env=program.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"soak: a run failed: {done.stderr[-500:]}")
        walls.append(time.monotonic() - at)
        time.sleep(_SETTLE_S)
        found = soaked.look(len(walls), walls[-1])
        if time.monotonic() >= warm:
            samples.append(found)
    return samples, walls


def main() -> None:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--samples", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        samples, walls = soak(options.minutes, Path(name), options.samples)
    part = max(len(samples) // _SHARE, 1)
    case = f"{len(walls)} swarms of 3 agents in {options.minutes:g} min on one head"
    for field in fields(Sample):
        values = [getattr(s, field.name) for s in samples]
        first, last = statistics.median(values[:part]), statistics.median(values[-part:])
        line(f"{case}: growth of {field.name}", last - first, "level at first", first)
    line(f"{case}: seconds per run", statistics.median(walls), "first run", walls[0])


def line(case: str, ours: float, name: str, value: float) -> None:
    """One case."""
    row = {
        "bench": "soak",
        "case": case,
        "unit": "1",
        "ours": round(ours, 3),
        "against": {name: round(value, 3)},
        "ratio": round(ours / value, 4) if value else None,
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
