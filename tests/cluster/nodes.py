"""A Ray cluster of several nodes on this machine, each on a host of its own that can be lost.

Every node has its own address, home, data and temporary directory; no node sees another's. The
user is logged in on the head.
"""

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from codetether_ray.core.errors import ClusterError
from codetether_ray.testing.hosts import Host, Network
from tests.e2e.program import Program

HEAD = "head"
_BIN = Path(sys.executable).parent
_RAY_ENV = Path(__file__).parents[2] / "deploy" / "ray.env"
_PORT = 6379
_CPUS = 8
"""That Ray may count per node; agents mostly wait."""
_MEMORY = 4_000_000_000
_STORE = 80_000_000
QUICK = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}
"""A node that is lost is missed within some ten seconds, and one on a busy machine is not."""
_ALIVE = """
import json, sys
from ray._raylet import GcsClient
found = GcsClient(address=sys.argv[1]).get_all_node_info().values()
alive = [n for n in found if n.state == 0]
print(json.dumps({n.node_manager_address: n.node_id.hex() for n in alive}))
"""


def ray_variables() -> dict[str, str]:
    """What `deploy/ray.env` gives Ray's processes on every node, here as on a user's cluster."""
    lines = _RAY_ENV.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and line[0] != "#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: a host with directories of its own and a raylet."""

    host: Host
    folder: Path
    """Everything that is this node's alone: hidden from the others, deleted when it is lost."""
    temp: Path
    """Ray's own directory there, with a short name."""
    env: dict[str, str]
    """Of whoever is logged in there; Ray's processes have it."""

    @property
    def home(self) -> Path:
        """The user's home there."""
        return self.folder / "home"

    @property
    def data(self) -> Path:
        """Where `codetether` keeps its data there."""
        return Path(self.env["CODETETHER_DATA_DIR"])

    def titles(self) -> dict[int, str]:
        """What runs there, by pid: the command lines."""
        found = {}
        for pid in self.host.processes():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            found[pid] = words.replace(b"\0", b" ").decode(errors="replace")
        return found

    def stop(self) -> None:
        """End what runs there, the host itself but."""
        while pids := [pid for pid in self.host.processes() if not self._keeps(pid)]:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _keeps(self, pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        return self.host.keeper in (pid, int(stat.rpartition(")")[2].split()[1]))

    def ray(self, *words: str) -> str:
        """Run a `ray` command there."""
        return self.host.run(str(_BIN / "ray"), *words, env=self.env, timeout_s=300)


class Nodes:
    """The cluster. `Nodes.up` starts it; `close` ends it with all its processes."""

    def __init__(self, folder: Path, env: dict[str, str], *, dashboard: bool = False) -> None:
        self.folder = folder
        self._dashboard = dashboard
        self.network = Network()
        self.nodes: dict[str, Node] = {}
        self._env = env
        self._token = secrets.token_hex(32)
        self._temp = Path(tempfile.mkdtemp(prefix="ctn-", dir="/tmp"))
        self._temp.chmod(0o755)

    @classmethod
    def up(
        cls,
        folder: Path,
        workers: Sequence[str] = ("n1", "n2"),
        *,
        dashboard: bool = False,
        **env: str,
    ) -> Self:
        """Start a head (with Ray's dashboard) and workers; `env` is for all of them."""
        nodes = cls(folder, {**QUICK, **env}, dashboard=dashboard)
        try:
            for name in (HEAD, *workers):
                nodes._furnish(name)
            nodes._hide_from_each_other()
            nodes._start_head()
            with ThreadPoolExecutor() as pool:
                list(pool.map(nodes._start_worker, workers))
        except BaseException:
            nodes.close()
            raise
        return nodes

    @property
    def address(self) -> str:
        """The head's."""
        return f"{self.nodes[HEAD].host.address}:{_PORT}"

    @property
    def dashboard(self) -> str:
        """The dashboard's, where there is one."""
        return f"http://{self.head.host.address}:8265"

    @property
    def head(self) -> Node:
        """The head's node, where the user is."""
        return self.nodes[HEAD]

    @property
    def gateway(self) -> str:
        """The address of this machine as the nodes see it: for the model's server."""
        return self.network.gateway

    def program(self, name: str, on: str = HEAD, **env: str) -> Program:
        """The command as the user of a node runs it, in an empty project directory there."""
        node = self.nodes[on]
        project = node.folder / "work" / name
        project.mkdir(parents=True)
        return Program(
            home=node.home,
            project=project,
            env={**node.env, "RAY_ADDRESS": self.address, **env},
            prefix=tuple(node.host.command(cwd=project)),
        )

    def alive(self) -> dict[str, str]:
        """Ray's ids of the nodes that the head believes to be alive, by our names."""
        found = self.head.host.run(
            *(sys.executable, "-c", _ALIVE, self.address), env=self.head.env, timeout_s=60
        )
        names = {node.host.address: name for name, node in self.nodes.items()}
        ids: dict[str, str] = json.loads(found)
        return {names.get(address, address): id for address, id in ids.items()}

    def add(self, prepare: Callable[[Node], None] | None = None, **env: str) -> Node:
        """One more worker, under a name that none had before.

        `env` is for it alone; `prepare` is called with its host before its Ray is started.
        """
        name = f"n{len(self.network.hosts)}"
        self._furnish(name)
        self._hide_from_each_other()
        self.nodes[name].env.update(env)
        if prepare is not None:
            prepare(self.nodes[name])
        self._start_worker(name)
        return self.nodes[name]

    def lose(self, name: str) -> None:
        """A node is gone from one moment to the next, with its processes and its directories."""
        node = self.nodes.pop(name)
        node.host.kill()
        shutil.rmtree(node.folder)
        shutil.rmtree(node.temp)

    def close(self) -> None:
        """End it."""
        self.network.close()
        shutil.rmtree(self._temp, ignore_errors=True)

    # -- the making -------------------------------------------------------------------------------

    def _furnish(self, name: str) -> None:
        host = self.network.add(name)
        folder, temp = self.folder / name, self._temp / name
        home = folder / "home"
        (home / ".ray").mkdir(parents=True)
        token = home / ".ray" / "auth_token"
        token.touch(mode=0o600)
        token.write_text(self._token)
        temp.mkdir()
        (folder / "work").mkdir()
        data = home / ".local" / "share" / "codetether-agent" if name == HEAD else folder / "data"
        data.mkdir(parents=True)
        env = {
            "HOME": str(home),
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "CODETETHER_DATA_DIR": str(data),
            **ray_variables(),
            **self._env,
        }
        self.nodes[name] = Node(host=host, folder=folder, temp=temp, env=env)

    def _hide_from_each_other(self) -> None:
        for node in self.nodes.values():
            shown = Path(f"/proc/{node.host.keeper}/mounts").read_text()
            for other in self.nodes.values():
                for path in (other.folder, other.temp):
                    if other is not node and f" {path} " not in shown:
                        node.host.hide(path)

    def _start_head(self) -> None:
        host = self.head.host.address
        self._start(HEAD, "--head", f"--port={_PORT}", f"--node-ip-address={host}")

    def _start_worker(self, name: str) -> None:
        host = self.nodes[name].host.address
        self._start(name, f"--address={self.address}", f"--node-ip-address={host}")

    def _start(self, name: str, *words: str) -> None:
        try:
            self._started(name, *words)
        except (
            ClusterError
        ):  # Ray itself gives up after half a minute: on a busy machine that is soon
            self.nodes[name].stop()
            self._started(name, *words)

    def _started(self, name: str, *words: str) -> None:
        node = self.nodes[name]
        node.ray(
            *("start", *words, f"--temp-dir={node.temp}", "--include-log-monitor=false"),
            *("--disable-usage-stats", f"--num-cpus={_CPUS}", f"--memory={_MEMORY}"),
            f"--object-store-memory={_STORE}",
            *(self._of_dashboard() if name == HEAD else ()),
        )

    def _of_dashboard(self) -> tuple[str, ...]:
        if not self._dashboard:
            return ("--include-dashboard=false",)
        return ("--include-dashboard=true", "--dashboard-host=0.0.0.0")
