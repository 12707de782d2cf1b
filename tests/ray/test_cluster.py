"""Clusters as processes see them: started, joined, left, and what remains."""

import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors import private, processes
from codetether_ray.actors.chatter import to_act_on
from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.head import announce_head, find_head, state_path, withdraw_head
from codetether_ray.actors.probe import probe
from codetether_ray.core.errors import ClusterError

_ROOT = Path(__file__).parents[2]


@contextmanager
def driver(mode: str, data_dir: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    data_dir.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray.driver", mode, str(data_dir), *more],
        cwd=_ROOT,
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
    found = dict(json.loads(line))
    assert "error" not in found, found["error"]
    return found


def run(mode: str, data_dir: Path, *more: str) -> tuple[dict[str, Any], str]:
    """What a driver told, and what was on its stderr."""
    with driver(mode, data_dir, *more) as process:
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, err
        (line,) = out.splitlines()  # nothing but what the driver itself printed
        return dict(json.loads(line)), err


@pytest.mark.parametrize("count", [6, pytest.param(100, marks=pytest.mark.matrix)])
def test_making_and_losing_actors_prints_nothing(count: int, data_dir: Path) -> None:
    out, err = run(f"many{count}", data_dir, "local")
    assert out == {"actors": count}
    assert err == ""
    assert "Started a local Ray instance" in (data_dir / "ray.log").read_text()


def test_a_process_may_start_one_ray_after_another(data_dir: Path) -> None:
    out, err = run("twice", data_dir, "local")
    assert out == {"actors": 1, "is_another": True}
    assert err == ""


def test_a_ray_comes_up_without_the_ports_of_an_agent_that_nobody_asks(cluster: Cluster) -> None:
    """A raylet would wait for them, and end where a busy machine takes longer than 15 s."""
    (node,) = ray.nodes()
    assert node["Alive"]
    assert node["MetricsExportPort"] == -1


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_dies_leaves_no_process_and_no_directory(
    death: signal.Signals, data_dir: Path
) -> None:
    with driver("linger", data_dir, "local") as process:
        out = told(process)
        left = [p for pid in out["pids"] if (p := processes.find(pid)) is not None]
        assert len(left) >= 6  # two servers, two agents, two workers
        process.send_signal(death)
        deadline = time.monotonic() + 60
        while any(p.is_alive for p in left) or Path(out["directory"]).exists():
            assert time.monotonic() < deadline, [p for p in left if p.is_alive]
            time.sleep(0.1)


def test_a_head_that_this_user_started_is_joined_by_his_other_commands(data_dir: Path) -> None:
    with driver("hold", data_dir) as holder:
        told(holder)
        head = find_head(data_dir)
        assert head is not None
        assert head.fits
        (first, err), (second, _) = run("meet", data_dir), run("meet", data_dir)
        assert (first["private"], err) == (False, "")
        assert first["epoch"] == second["epoch"]
        old = state_path(data_dir).read_text()
        state_path(data_dir).write_text(json.dumps({**asdict(head), "ray": "1.0.0"}))
        with driver("meet", data_dir) as other:
            assert "has Ray 1.0.0" in told(other)["notice"]
            assert told(other)["private"] is True
        state_path(data_dir).write_text(old)
        holder.communicate(timeout=60)
    assert find_head(data_dir) is None
    assert not state_path(data_dir).exists()


@pytest.mark.usefixtures("services")  # who joins would make his own, to outlive him
def test_a_cluster_with_a_token_lets_in_who_has_it_and_tells_others_at_once(
    cluster: Cluster, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = run("meet", data_dir, cluster.address)
    assert "wants another token; give RAY_AUTH_TOKEN_PATH=FILE" in out["error"]
    assert err == ""
    assert cluster._keeper.directory is not None
    token = private.token_path(cluster._keeper.directory)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    out, err = run("meet", data_dir, cluster.address)
    assert (out["private"], err) == (False, "")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 200)  # wins over the path
    out, err = run("meet", data_dir, cluster.address)
    assert "wants another token" in out["error"]
    assert err == ""


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ray://127.0.0.1:10001", "Ray Client address"),
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
    ],
)
def test_an_address_that_cannot_be_joined_is_told_in_one_sentence(
    address: str, sentence: str, data_dir: Path
) -> None:
    out, err = run("meet", data_dir, address)
    assert sentence in out["error"]
    assert "\n" not in out["error"]
    assert err == ""


def test_something_else_than_a_head_at_an_address_is_told_apart() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(ClusterError, match="no Ray head"):
            probe(f"127.0.0.1:{server.server_address[1]}")
    probe("auto")


def test_a_strangers_or_dead_head_is_not_joined(data_dir: Path) -> None:
    head = announce_head(data_dir, address="10.0.0.1:6379", token=data_dir / "token")
    assert find_head(data_dir) == head
    for change in ({"uid": os.getuid() + 1}, {"started": "1"}, {"pid": 2**22 + 1}):
        state_path(data_dir).write_text(json.dumps({**asdict(head), **change}))
        assert find_head(data_dir) is None
    state_path(data_dir).write_text("{not json")
    assert find_head(data_dir) is None
    announce_head(data_dir, address="10.0.0.1:6379", token=data_dir / "token")
    assert oct(state_path(data_dir).stat().st_mode & 0o777) == "0o600"
    withdraw_head(data_dir)
    assert not state_path(data_dir).exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("12 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers", "memory"),
        ("/tmp/ct/session is over 95% full, available space: 1 GB", "disk"),
        ("OSError: [Errno 24] Too many open files", "ulimit"),
        ("WARNING: 16 PYTHON worker processes have been started on node: 3f", ""),
        ("FutureWarning: Tip: In future versions of Ray", ""),
    ],
)
def test_only_what_a_person_must_act_on_is_translated(line: str, words: str) -> None:
    sentences = to_act_on(line)
    assert len(sentences) == bool(words)
    assert all(words in sentence for sentence in sentences)


def test_a_ray_needs_one_place_for_its_directory(tmp_path: Path) -> None:
    nowhere, somewhere = str(tmp_path / "missing"), str(tmp_path)
    made = private.make_directory((nowhere, somewhere))
    assert made.parent == tmp_path
    assert oct(private.token_path(made).stat().st_mode & 0o777) == "0o600"
    with pytest.raises(ClusterError, match="none can be made in"):
        private.make_directory((nowhere,))


def test_a_directory_whose_owner_is_just_being_written_is_left_alone(tmp_path: Path) -> None:
    """Whoever makes a Ray's directory makes the file and then fills it."""
    owners = {"fresh": "", "torn": "12x", "dead": "4194304 1.0"}
    for name, owner in owners.items():
        folder = tmp_path / f"ct-{os.getuid()}-{name}"
        folder.mkdir()
        (folder / "owner").write_text(owner)
    made = private.make_directory((str(tmp_path),))
    left = {folder.name.rpartition("-")[2] for folder in tmp_path.iterdir()} - {
        made.name.rpartition("-")[2]
    }
    assert left == {"fresh", "torn"}
