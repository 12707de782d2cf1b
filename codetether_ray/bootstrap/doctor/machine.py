"""What this machine brings along: Python, Ray, git, memory, the usual ports."""

import importlib.metadata
import platform
import shutil
import socket
import subprocess

from codetether_ray.bootstrap.doctor.check import Check

OLDEST_GIT = (2, 38)
GIT_FIX = "install git 2.38 or newer"
PORTS = {6379: "Ray's head", 8265: "Ray's dashboard", 10001: "Ray Client"}
"""What a Ray head listens on unless it is told otherwise (ports of this project's private Rays are
chosen by the system)."""
_SLOW_S = 10.0
_LOW_BYTES = 512 * 1024**2


def python() -> Check:
    """Which Python."""
    return Check(name="python", state="ok", detail=platform.python_version())


def ray() -> Check:
    """Which Ray is installed; it is not imported."""
    try:
        version = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        return Check(name="ray", state="fail", detail="not installed", fix="install codetether-ray")
    return Check(name="ray", state="ok", detail=version)


def git() -> Check:
    """Whether git is there and new enough, and who commits."""
    return git_check(git_version(), git_identity())


def git_check(version: str, identity: str) -> Check:
    """The same from what was found, here or on another node."""
    if not version:
        return Check(name="git", state="fail", detail="not found", fix=GIT_FIX)
    digits = version.split(".")[:2]
    if all(d.isdigit() for d in digits) and tuple(map(int, digits)) < OLDEST_GIT:
        return Check(name="git", state="fail", detail=f"{version} is too old", fix=GIT_FIX)
    who = identity or "no user.name is set: agents' own `git commit` would ask for one"
    return Check(name="git", state="ok", detail=f"{version}, {who}")


def git_version() -> str:
    """Git's version; empty if there is none."""
    if shutil.which("git") is None:
        return ""
    return _said("git", "version").removeprefix("git version ")


def git_identity() -> str:
    """Who git would say commits here; empty if it has not been told."""
    if shutil.which("git") is None:
        return ""
    name, email = _said("git", "config", "user.name"), _said("git", "config", "user.email")
    return f"{name} <{email}>" if name and email else ""


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SLOW_S, check=False)
    return done.stdout.strip()


def memory() -> Check:
    """How much memory agents could take now."""
    from codetether_ray.local.capacity import machine_capacity

    free = machine_capacity().free_memory_bytes
    words = f"{free / 1e9:.1f} GB free"
    if free < _LOW_BYTES:
        fix = "end something, or set swarm.total_memory; agents wait until there is room"
        return Check(name="memory", state="warn", detail=words, fix=fix)
    return Check(name="memory", state="ok", detail=words)


def ports() -> Check:
    """Whether a head with Ray's usual ports could be started here."""
    taken = {port: whose for port, whose in PORTS.items() if not is_free(port)}
    if not taken:
        words = f"{', '.join(map(str, PORTS))} are free"
        return Check(name="ports", state="ok", detail=words)
    words = ", ".join(f"{port} ({whose}) is taken" for port, whose in taken.items())
    if 6379 in taken:
        fix = "if no Ray head runs here, `ray start --head` needs another --port"
        return Check(name="ports", state="ok", detail=words, fix=fix)
    return Check(name="ports", state="ok", detail=words)


def is_free(port: int) -> bool:
    """Whether one could listen on a port of this machine."""
    with socket.socket() as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            here.bind(("", port))
        except OSError:
            return False
    return True
