"""What an installation takes: a fresh environment from the lock, its seconds and its bytes.

    python scripts/bench/install.py [--peers FOLDER]

Two cases: `cold` with an empty cache (all is downloaded), `warm` with the cache that left. Size is
what the environment takes on disk, what is linked from the cache counted in; against it the peers'
npm installations, where `peers.py` has made them in FOLDER, and an environment with Ray alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_UV = Path(sys.executable).parent / "uv"


def install(folder: Path, cache: Path, *wanted: str) -> float:
    """Seconds to make an environment with these requirements."""
    env = {**os.environ, "UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "copy"}
    quiet = ("--quiet", "--system-certs")
    began = time.perf_counter()
    subprocess.run([_UV, "venv", *quiet, "--python", sys.executable, folder], env=env, check=True)
    python = folder / "bin" / "python"
    command = [_UV, "pip", "install", *quiet, "--python", python, *wanted]
    subprocess.run(command, env=env, check=True, cwd=_ROOT, timeout=900)
    return time.perf_counter() - began


def size_mb(folder: Path) -> float:
    """Bytes of all files below a folder, hard links once."""
    seen, total = set[tuple[int, int]](), 0
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        found = path.stat()
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            total += found.st_size
    return total / 1e6


def line(case: str, unit: str, ours: float, name: str, value: float) -> None:
    """One case."""
    row = {
        "bench": "install",
        "case": case,
        "unit": unit,
        "ours": round(ours, 2),
        "against": {name: round(value, 2)},
        "ratio": round(ours / value, 3),
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="where peers.py has installed the others")
    options = parser.parse_args()
    locked = ("--require-hashes", "-r", "requirements/runtime.txt")
    ray = next(
        text.split(" ")[0]
        for text in (_ROOT / "requirements" / "runtime.txt").read_text().splitlines()
        if text.startswith("ray")
    )
    with tempfile.TemporaryDirectory(prefix="install-") as name:
        work = Path(name)
        cold = install(work / "cold", work / "cache", *locked)
        warm = install(work / "warm", work / "cache", *locked)
        size = size_mb(work / "cold")
        install(work / "ray", work / "cache", ray)
        alone = size_mb(work / "ray")
    line("fresh environment from the lock: time, empty cache / full cache", "s", cold, "warm", warm)
    line("fresh environment from the lock: size", "MB", size, f"{ray} alone", alone)
    for package in ("@anthropic-ai", "@openai", "opencode-ai"):
        folder = options.peers and options.peers / "node_modules" / package
        if folder and folder.is_dir():
            line("fresh environment from the lock: size", "MB", size, package, size_mb(folder))


if __name__ == "__main__":
    main()
