"""Hosts on this machine: each a network namespace on one bridge, with mounts of its own.

What runs on one host is found, cut off and killed as a whole, whatever sessions and groups its
processes made. Needs root, and the programs `ip`, `nsenter` and `unshare`.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from codetether_ray.core.errors import ClusterError

_NAMED = Path("/run/netns")
_PREFIX = "ctn"
_NUMBERS = itertools.count(1)
"""Of this process's networks."""
"""How bridges, links and namespaces of ours begin; the kernel allows a link 15 characters."""
_NAMES = Path("/run/codetether-hosts")
"""Here lie the files by which hosts know each other."""
_GATEWAY = 254
_KEEPER = """
set -e
hostname "$0"
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
echo up
exec >&-
while :; do sleep 3600 & wait $!; done
"""
"""Is the first process of a host with pids of its own, and there waits for orphans."""
_KILL_PATIENCE_S = 10.0


def why_not() -> str:
    """Why there can be no hosts on this machine, in a sentence; empty if there can."""
    if os.geteuid() != 0:
        return "hosts as network namespaces need root"
    missing = [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]
    if missing:
        return f"hosts as network namespaces need {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    if tried.returncode:
        return f"this machine gives no namespaces: {tried.stderr.strip()}"
    return ""


class Host:
    """One host. It exists as long as its keeper, a process that sleeps in its namespaces."""

    def __init__(self, *, name: str, address: str, space: str, link: str, keeper: int) -> None:
        self.name = name
        self.address = address
        self.space = space
        """The name of its network namespace."""
        self.link = link
        """This machine's end of its cable."""
        self.keeper = keeper

    def command(self, *words: str, cwd: Path | None = None) -> list[str]:
        """A command line that runs `words` on this host.

        The process becomes that command, but for a host with pids of its own: there it is a child.
        """
        names = Path(f"/proc/{self.keeper}/ns")
        enter = ["nsenter", f"--net={_NAMED / self.space}", f"--uts={names / 'uts'}"]
        if (names / "pid").stat().st_ino != Path("/proc/self/ns/pid").stat().st_ino:
            enter.append(f"--pid={names / 'pid'}")
        return [*enter, f"--mount={names / 'mnt'}", "env", f"--chdir={cwd or '/'}", *words]

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, timeout_s: float = 60.0
    ) -> str:
        """Run a command on this host to its end; its output.

        Raises:
            ClusterError: it failed; the sentence has its last words.
        """
        return _run(self.command(*words), env=env, timeout_s=timeout_s)

    def hide(self, path: Path) -> None:
        """Let nothing be seen here of a directory: an empty file system lies over it."""
        self.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "none", str(path))

    def mount(self, source: Path, target: Path, *, read_only: bool = False) -> None:
        """Let one directory (or file) be seen here at the place of another."""
        self.run("mount", "--bind", str(source), str(target))
        if read_only:
            self.run("mount", "-o", "remount,bind,ro", str(target))

    def processes(self) -> list[int]:
        """Every process on this host, its keeper among them."""
        return _processes_in(self.space)

    def cut(self) -> None:
        """Pull the cable: packets are lost without a word."""
        _run(["ip", "link", "set", self.link, "down"])

    def mend(self) -> None:
        """Plug the cable in again."""
        _run(["ip", "link", "set", self.link, "up"])

    def kill(self) -> None:
        """End everything on it at once, its keeper too; what it would have said is not heard.

        Raises:
            ClusterError: something on it cannot be killed.
        """
        self.cut()
        _kill_all(self.space)


class Network:
    """A bridge with hosts on it, and this machine at its gateway's address."""

    def __init__(self, tag: str = "") -> None:
        """Make the bridge. Without a tag it belongs to this process, and is swept when that died.

        Raises:
            ClusterError: it cannot be made.
        """
        _sweep()
        self._tag = f"{_PREFIX}x{tag}" if tag else f"{_PREFIX}{os.getpid():x}n{next(_NUMBERS)}"
        self._files = _NAMES / self._tag
        self.hosts: dict[str, Host] = {}
        self._subnet = self._claim()
        self.gateway = f"{self._subnet}.{_GATEWAY}"
        """Where hosts reach a server of this machine."""

    def _claim(self) -> str:
        """A subnet that nobody uses."""
        _run(["ip", "link", "add", self._tag, "type", "bridge"])
        for third in range(77, 200):
            subnet = f"10.77.{third}"
            if f" {subnet}." not in _run(["ip", "-4", "-oneline", "address"]):
                at = f"{subnet}.{_GATEWAY}/24"
                _run(["ip", "address", "add", at, "dev", self._tag])
                _run(["ip", "link", "set", self._tag, "up"])
                return subnet
        raise ClusterError("all subnets of 10.77.0.0/16 are in use")

    def add(self, name: str, *, own_pids: bool = False) -> Host:
        """A new host; with `own_pids`, no process of another one can be seen on it."""
        number = len(self.hosts) + 1
        space, link = f"{self._tag}-{name}", f"{self._tag}-{number}"
        address = f"{self._subnet}.{number}"
        _run(["ip", "netns", "add", space])
        _run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space])
        _run(["ip", "link", "set", link, "master", self._tag, "up"])
        inside = ["ip", "-netns", space]
        _run([*inside, "address", "add", f"{address}/24", "dev", "eth0"])
        _run([*inside, "link", "set", "lo", "up"])
        _run([*inside, "link", "set", "eth0", "up"])
        _run([*inside, "route", "add", "default", "via", self.gateway])
        self._name(name, address)
        keeper = _keeper(space, name, self._files, own_pids=own_pids)
        host = Host(name=name, address=address, space=space, link=link, keeper=keeper)
        self.hosts[name] = host
        return host

    def close(self) -> None:
        """End every host and take the bridge away."""
        _remove(self._tag)

    def _name(self, name: str, address: str) -> None:
        """Let all hosts know each other by name, without a name server to wait for."""
        self._files.mkdir(parents=True, exist_ok=True)
        (self._files / "resolv.conf").touch()
        with (self._files / "hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 localhost\n{address} {name}\n")


def remove(tag: str) -> None:
    """End a network that was made with a tag, by whatever process."""
    _remove(f"{_PREFIX}x{tag}")


def _keeper(space: str, name: str, files: Path, *, own_pids: bool) -> int:
    """Start the process that holds a host's mounts; it is there when this returns."""
    keeper = subprocess.Popen(
        [
            *("nsenter", f"--net={_NAMED / space}", "unshare", "--mount", "--uts"),
            *("--propagation", "private"),
            *(("--pid", "--fork", "--kill-child", "--mount-proc") if own_pids else ()),
            *("sh", "-c", _KEEPER, name, str(files)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath + ":/usr/sbin:/sbin"},
        start_new_session=True,
    )
    assert keeper.stdout is not None
    with keeper.stdout as out:
        if out.readline() != b"up\n":
            raise ClusterError(f"no mounts of its own for the host {space}")
    _keepers[keeper.pid] = keeper
    if not own_pids:
        return keeper.pid
    children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text()
    return int(children.split()[0])


_keepers: dict[int, "subprocess.Popen[bytes]"] = {}
"""Keepers that this process started, to be waited for when they have ended."""


def _processes_in(space: str) -> list[int]:
    try:
        wanted = (_NAMED / space).stat().st_ino
    except OSError:
        return []
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "ns" / "net").stat().st_ino == wanted:
                found.append(int(path.name))
        except OSError:  # it ended
            continue
    return found


def _kill_all(space: str) -> None:
    deadline = time.monotonic() + _KILL_PATIENCE_S
    while pids := _processes_in(space):
        if time.monotonic() > deadline:
            raise ClusterError(f"processes {pids} of the host {space} cannot be killed")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            keeper = _keepers.pop(pid, None)
            if keeper is not None:
                keeper.wait()
        time.sleep(0.02)


def _sweep() -> None:
    """Take away what processes left that were killed."""
    names = re.findall(
        rf"\b({_PREFIX}([0-9a-f]+)n[0-9]+): ", _run(["ip", "link", "show", "type", "bridge"])
    )
    for tag, owner in names:
        if not Path(f"/proc/{int(owner, 16)}").exists():
            _remove(tag)


def _remove(tag: str) -> None:
    for path in _NAMED.glob(f"{tag}-*"):
        _kill_all(path.name)
        _run(["ip", "netns", "delete", path.name])
    for link in re.findall(rf"\b({tag}-[0-9]+)@", _run(["ip", "link", "show", "type", "veth"])):
        # Sockets that still send can hold it for a minute; else it goes with its namespace.
        subprocess.run(["ip", "link", "delete", link], capture_output=True)
    _run(["ip", "link", "delete", tag])
    shutil.rmtree(_NAMES / tag, ignore_errors=True)


def _run(
    words: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 60.0
) -> str:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-20:]
        raise ClusterError(f"{' '.join(words)} failed: " + "\n".join(said))
    return done.stdout
