#!/usr/bin/env python3
"""A cluster of several "hosts" on this machine, made by `ray up` with cluster-onprem.yaml.

    scripts/dev_cluster.py up [--workers 2]      # hosts, sshd on each, `ray up`
    scripts/dev_cluster.py status
    scripts/dev_cluster.py ssh head codetether swarm "…"
    scripts/dev_cluster.py cut w1                # pull a host's cable; `mend w1` puts it back
    scripts/dev_cluster.py kill w1               # its power
    scripts/dev_cluster.py down

Each host is a set of namespaces with an address of its own on one bridge, a real sshd, its own
processes, home and data. Needs root, and the packages openssh-server, rsync and iproute2. Nothing
is installed on them: this checkout's `.venv` is mounted where `scripts/setup` would make it.
"""

import argparse
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from codetether_ray.testing.hosts import Host, Network, remove, why_not

_ROOT = Path(__file__).resolve().parent.parent
_BIN = _ROOT / ".venv" / "bin"
_HEAD = "head"
_PROGRAMS = ("sshd", "ssh", "ssh-keygen", "rsync")
_JOIN_PATIENCE_S = 240.0
_QUICK = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
"""A host that is cut off is missed within some seconds; Ray's own terms are for real networks."""
_SSHD = """
Port 22
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
UsePAM no
PasswordAuthentication no
StrictModes no
AuthorizedKeysFile {folder}/authorized_keys
Subsystem sftp internal-sftp
"""


def main() -> int:
    """Do what the command line says."""
    options = _parser().parse_args()
    cluster = DevCluster(options.name)
    try:
        return int(options.action(cluster, options) or 0)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"dev_cluster: {error}", file=sys.stderr)
        return 1


class DevCluster:
    """The cluster of one name; its files tell a later command what an earlier one made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path("/tmp") / f"codetether-dev-{name}"
        self._state = self.folder / "hosts.json"

    @property
    def hosts(self) -> dict[str, Host]:
        """What is there."""
        if not self._state.exists():
            raise RuntimeError(f"no dev cluster {self.name} is up; `scripts/dev_cluster.py up`")
        return {data["name"]: Host(**data) for data in json.loads(self._state.read_text())}

    def up(self, workers: int) -> None:
        """Make the hosts and have `ray up` make the cluster."""
        missing = why_not() or ", ".join(p for p in _PROGRAMS if shutil.which(p) is None)
        if missing:
            raise RuntimeError(f"a dev cluster cannot be made here: {missing}")
        if self.folder.exists():
            raise RuntimeError(f"a dev cluster {self.name} is there already; `down` ends it")
        self.folder.mkdir(mode=0o755)
        try:
            self._make_hosts([_HEAD, *(f"w{n + 1}" for n in range(workers))])
            self._ray_up()
            self._wait(workers + 1)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End every host, and remove what is theirs."""
        remove(self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ssh(self, host: str, *words: str) -> list[str]:
        """A command line that runs `words` on a host, by its sshd."""
        there = self.hosts[host]
        return [
            *("ssh", "-i", str(self.folder / "key"), "-o", "StrictHostKeyChecking=no"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *(f"{_user().pw_name}@{there.address}", *words),
        ]

    def nodes(self) -> list[dict[str, Any]]:
        """What Ray on the head says of its nodes."""
        done = subprocess.run(
            self.ssh(_HEAD, f"{_BIN / 'python'} -c '{_NODES}'"),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    # -- the making -------------------------------------------------------------------------------

    def _make_hosts(self, names: list[str]) -> None:
        _keygen(self.folder / "key")
        network = Network(self.name)
        for name in names:
            host = network.add(name, own_pids=True)
            self._furnish(host)
        self._state.write_text(json.dumps([vars(host) for host in network.hosts.values()]))
        for host in network.hosts.values():
            for other in names:
                if other != host.name:
                    host.hide(self.folder / other)
            self._start_sshd(host)

    def _furnish(self, host: Host) -> None:
        """Directories of its own: home, what Ray writes, the mounted environment, sshd's files."""
        folder = self.folder / host.name
        home, ray = folder / "home", folder / "ray"
        venv = home / "codetether-ray" / ".venv"
        for path in (venv, ray):
            path.mkdir(parents=True)
        (home / ".profile").write_text('PATH="$HOME/.local/bin:$PATH"\n')
        _keygen(folder / "host_key")
        shutil.copy(self.folder / "key.pub", folder / "authorized_keys")
        (folder / "sshd_config").write_text(_SSHD.format(address=host.address, folder=folder))
        user = _user()
        users = Path("/etc/passwd").read_text()
        mine = f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{home}:/bin/bash"
        lines = [mine if u.startswith(f"{user.pw_name}:") else u for u in users.splitlines()]
        (folder / "passwd").write_text("\n".join(lines) + "\n")
        Path("/tmp/ray").mkdir(exist_ok=True)
        host.mount(folder / "passwd", Path("/etc/passwd"))
        host.mount(_ROOT / ".venv", venv, read_only=True)
        host.mount(ray, Path("/tmp/ray"))

    def _start_sshd(self, host: Host) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        folder = self.folder / host.name
        words = (shutil.which("sshd") or "sshd", "-D", "-f", str(folder / "sshd_config"))
        with (folder / "sshd.log").open("w") as log:
            subprocess.Popen(
                host.command(*words, "-e"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while subprocess.run(self.ssh(host.name, "true"), capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no sshd on {host.name}: {(folder / 'sshd.log').read_text()}")
            time.sleep(0.1)

    def _ray_up(self) -> None:
        """`ray up` from this machine, as a user with a home of its own."""
        home = self.folder / "user"
        token = home / ".ray" / "auth_token"
        token.parent.mkdir(parents=True)
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        config = self.folder / "cluster.yaml"
        config.write_text(yaml.safe_dump(self.config()))
        env = {
            "HOME": str(home),
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "RAY_TMPDIR": str(self.folder / "up"),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with (self.folder / "up.log").open("w") as log:
            done = subprocess.run(
                [_BIN / "ray", "up", "--yes", "--no-config-cache", str(config)],
                cwd=_ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            tail = (self.folder / "up.log").read_text().splitlines()[-30:]
            raise RuntimeError("ray up failed:\n" + "\n".join(tail))

    def config(self) -> dict[str, Any]:
        """cluster-onprem.yaml with these hosts."""
        config: dict[str, Any] = yaml.safe_load((_ROOT / "cluster-onprem.yaml").read_text())
        hosts = self.hosts
        workers = [host.address for name, host in hosts.items() if name != _HEAD]
        config["cluster_name"] = f"codetether-dev-{self.name}"
        config["provider"] |= {"head_ip": hosts[_HEAD].address, "worker_ips": workers}
        config["auth"] = {
            "ssh_user": _user().pw_name,
            "ssh_private_key": str(self.folder / "key"),
        }
        config |= {"min_workers": len(workers), "max_workers": len(workers)}
        quick = " ".join(f"{name}={value}" for name, value in _QUICK.items())
        for kind in ("head_start_ray_commands", "worker_start_ray_commands"):
            config[kind] = [w.replace("ulimit", f"export {quick}; ulimit") for w in config[kind]]
        config["setup_commands"] = [
            words.replace("scripts/setup runtime", "test -x .venv/bin/ray")
            for words in config["setup_commands"]
        ]
        return config

    def _wait(self, count: int) -> None:
        deadline = time.monotonic() + _JOIN_PATIENCE_S
        while sum(node["Alive"] for node in self.nodes()) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"after {_JOIN_PATIENCE_S:.0f} s not all nodes have joined")
            time.sleep(1)


_NODES = """
import json, logging, os
os.environ["RAY_AUTH_MODE"] = "token"
from ray._raylet import GcsClient
found = GcsClient(address="127.0.0.1:6379").get_all_node_info().values()
print(json.dumps([{"NodeID": n.node_id.hex(), "Alive": n.state == 0,
    "address": n.node_manager_address, "host": n.node_manager_hostname} for n in found]))
""".replace("'", '"')


def _keygen(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)],
        stdin=subprocess.DEVNULL,
        check=True,
    )


def _user() -> pwd.struct_passwd:
    return pwd.getpwuid(os.getuid())


# -- the commands ---------------------------------------------------------------------------------


def _up(cluster: DevCluster, options: argparse.Namespace) -> None:
    began = time.monotonic()
    cluster.up(options.workers)
    print(f"{len(cluster.hosts)} hosts are up after {time.monotonic() - began:.0f} s:")
    _status(cluster, options)


def _down(cluster: DevCluster, _: argparse.Namespace) -> None:
    cluster.down()


def _status(cluster: DevCluster, _: argparse.Namespace) -> None:
    states = {node["address"]: node["Alive"] for node in cluster.nodes()}
    for name, host in cluster.hosts.items():
        state = {True: "alive", False: "dead", None: "not joined"}[states.get(host.address)]
        count = len(host.processes())
        print(f"{name:8} {host.address:14} {state}, {count} processes")
    gateway = f"{next(iter(cluster.hosts.values())).address.rpartition('.')[0]}.254"
    print(f"{'(here)':8} {gateway:14} this machine, as the hosts see it")


def _cut(cluster: DevCluster, options: argparse.Namespace) -> None:
    cluster.hosts[options.host].cut()


def _mend(cluster: DevCluster, options: argparse.Namespace) -> None:
    cluster.hosts[options.host].mend()


def _kill(cluster: DevCluster, options: argparse.Namespace) -> None:
    cluster.hosts[options.host].kill()


def _ssh(cluster: DevCluster, options: argparse.Namespace) -> int:
    return subprocess.run(cluster.ssh(options.host, *options.words)).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="dev", help="of the cluster, 6 characters at most")
    actions = parser.add_subparsers(required=True)
    up = actions.add_parser("up", help="make the hosts and the cluster")
    up.add_argument("--workers", type=int, default=1)
    up.set_defaults(action=_up)
    for name, action in (("down", _down), ("status", _status)):
        actions.add_parser(name).set_defaults(action=action)
    for name, action in (("cut", _cut), ("mend", _mend), ("kill", _kill)):
        one = actions.add_parser(name)
        one.add_argument("host")
        one.set_defaults(action=action)
    ssh = actions.add_parser("ssh", help="a shell or a command on a host")
    ssh.add_argument("host")
    ssh.add_argument("words", nargs=argparse.REMAINDER)
    ssh.set_defaults(action=_ssh)
    return parser


if __name__ == "__main__":
    sys.exit(main())
