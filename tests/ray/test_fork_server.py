"""Workers that are forked are workers as Ray starts them: they answer, die and leave nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from codetether_ray.actors import processes
from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.forkserver import preload, protocol
from codetether_ray.actors.forkserver.status import Status, status_of, why_off
from tests.ray.forked import Forked, comm

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 180.0


def eventually(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)
    return found


def is_gone(pid: int) -> bool:
    found = processes.find(pid)
    return found is None or not found.is_alive


def parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return int(stat.split()[1])


def start(count: int, **options: Any) -> list[Any]:
    remote = ray.remote(Forked).options(num_cpus=0, **options)
    return [remote.remote() for _ in range(count)]


@pytest.fixture
def node(cluster: Cluster) -> str:
    return str(ray.get_runtime_context().get_node_id())


@pytest.fixture
def server(node: str) -> Status:
    (probe,) = start(1)
    ray.get(probe.pid.remote())
    assert not why_off(node)
    return eventually(lambda: status_of(node))  # type: ignore[no-any-return]


def test_a_hundred_actors_are_forked_answer_and_are_killed_or_crash(server: Status) -> None:
    actors = start(100)
    pids = ray.get([actor.pid.remote() for actor in actors])
    assert len(set(pids)) == 100
    assert {parent(pid) for pid in pids} == {server.pid}
    for actor in actors[:50]:
        ray.kill(actor)
    crashes = [actor.crash.remote() for actor in actors[50:]]
    for crash in crashes:
        with pytest.raises(RayActorError):
            ray.get(crash)
    eventually(lambda: all(is_gone(pid) for pid in pids))
    assert not is_gone(server.pid)


def test_an_actor_that_crashes_is_started_again_by_a_fork(server: Status) -> None:
    (actor,) = start(1, max_restarts=1, max_task_retries=1)
    first = ray.get(actor.pid.remote())
    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: _answer(actor))
    assert second != first
    assert parent(second) == server.pid


def _answer(actor: Any) -> Any:
    try:
        return ray.get(actor.pid.remote())
    except RayActorError:
        return None


def test_a_forked_worker_has_what_a_started_one_has(server: Status, cluster: Cluster) -> None:
    actors = start(2)  # who lets go of them ends them
    one, two = ray.get([actor.about.remote() for actor in actors])
    assert one["argv"].endswith("/ray/_private/workers/default_worker.py")
    assert str(Path(one["argv"]).parent) in one["path"]
    assert one["group"] == one["pid"]
    assert all(a != b for a, b in zip(one["said"], two["said"], strict=True))
    assert not [f for f in one["files"] if "ct-fork" in f]
    assert comm(one["pid"]).startswith("ray::")
    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    (log,) = logs.glob(f"worker-*-{one['pid']}.out")
    assert f"said by {one['pid']}" in log.read_text()


def test_a_forked_worker_runs_commands(server: Status) -> None:
    (actor,) = start(1)
    assert ray.get(actor.command.remote()) == "hello 0"


def test_after_its_first_answer_an_actor_imports_nothing_more(server: Status) -> None:
    code = (
        "import json, sys; sys.path[0] = sys.argv[1]\n"
        "from codetether_ray.actors.forkserver import preload, server\n"
        "preload.load(); print(json.dumps(list(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(_ROOT)], stdout=subprocess.PIPE, check=True
    )
    (actor,) = start(1)
    ray.get(actor.about.remote())
    later = set(ray.get(actor.modules.remote())) - set(json.loads(out.stdout))
    assert {name for name in later if not name.startswith("tests")} == set()


def test_the_server_has_one_thread_of_its_own_and_no_connection(server: Status) -> None:
    names = {
        (task / "comm").read_text().strip() for task in Path(f"/proc/{server.pid}/task").iterdir()
    }
    assert names <= {"ray::fork_serve", "jemalloc_bg_thd"}
    eventually(lambda: len(sockets(server.pid)) == 1)  # where it listens; launchers come and go


def sockets(pid: int) -> list[str]:
    files = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            files.append(str(path.readlink()))
    return [file for file in files if file.startswith("socket:")]


def test_nothing_of_serve_is_imported_before_a_fork() -> None:
    heavy = ("ray.serve", "fastapi", "uvicorn", "grpc")
    assert not [n for n in (*preload.RAY, *preload.OURS) if n.startswith(heavy)]


def test_an_actor_with_a_runtime_environment_starts_as_ray_meant(server: Status) -> None:
    (actor,) = start(1, runtime_env={"env_vars": {"SHADE": "green"}})
    pid = ray.get(actor.pid.remote())
    assert parent(pid) != server.pid


def test_a_server_that_is_killed_is_replaced_and_its_actors_live_on(
    server: Status, node: str
) -> None:
    (before,) = start(1)
    pid = ray.get(before.pid.remote())
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: is_gone(server.pid))
    (after,) = start(1)
    forked = ray.get(after.pid.remote())
    successor = eventually(lambda: status_of(node))
    assert successor.pid != server.pid
    assert parent(forked) == successor.pid
    assert ray.get(before.pid.remote()) == pid


@contextmanager
def python(mode: str, data_dir: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    data_dir.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray.forked", mode, str(data_dir)],
        cwd=_ROOT,
        env={**os.environ, "HOME": str(data_dir), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return dict(json.loads(line))


def ended(process: subprocess.Popen[str]) -> None:
    process.communicate("", timeout=_PATIENCE_S)


def test_jobs_share_a_server_and_leave_no_process_and_it_ends_with_its_raylet(
    data_dir: Path,
) -> None:
    with python("head", data_dir) as head:
        ray_is = told(head)
        with python("job", data_dir) as one, python("listing", data_dir) as two:
            first, second = told(one), told(two)
            listed = told(two)["listed"]
            assert first["job"] != second["job"]
            assert {a["job"] for a in second["abouts"]} == {second["job"]}
            server = status_of(ray_is["node"])
            assert server is not None
            pids = first["pids"] + second["pids"]
            assert {parent(pid) for pid in pids} == {server.pid}
            for pid in second["pids"]:
                assert [pid, "Forked", ray_is["node"]] in listed
            ended(one)
            eventually(lambda: all(is_gone(pid) for pid in first["pids"]))
            assert not any(is_gone(pid) for pid in second["pids"])
            os.kill(ray_is["raylet"], signal.SIGKILL)
            eventually(lambda: all(is_gone(pid) for pid in [*pids, server.pid]))
            assert not Path(f"{protocol.base_path(ray_is['node'])}.sock").exists()


def test_a_server_that_one_job_started_forks_workers_for_the_next_when_that_job_is_over(
    data_dir: Path,
) -> None:
    """Ray's core would count them among the first job, and end each as it comes."""
    with python("head", data_dir) as head:
        node = told(head)["node"]
        with python("job", data_dir) as first:
            told(first)
            ended(first)
        os.kill(eventually(lambda: status_of(node)).pid, signal.SIGKILL)
        servers = set()
        for _ in range(2):  # the one starts a server, and is over before the other comes
            with python("job", data_dir) as job:
                said = told(job)
                assert {a["job"] for a in said["abouts"]} == {said["job"]}
                servers |= {parent(pid) for pid in said["pids"]}
                ended(job)
        assert servers == {eventually(lambda: status_of(node)).pid}
        ended(head)


def test_switched_off_workers_start_as_ray_meant(data_dir: Path) -> None:
    with python("job", data_dir, CODETETHER_FORK_SERVER="0") as alone:
        assert {comm(about["parent"]) for about in told(alone)["abouts"]} == {"raylet"}
        ended(alone)


def test_a_driver_that_is_killed_leaves_neither_forked_workers_nor_their_server(
    data_dir: Path,
) -> None:
    with python("job", data_dir) as alone:
        abouts = told(alone)["abouts"]
        assert {comm(about["parent"]) for about in abouts} == {"ray::fork_serve"}
        alone.kill()
        left = {about["pid"] for about in abouts} | {about["parent"] for about in abouts}
        eventually(lambda: all(is_gone(pid) for pid in left))
