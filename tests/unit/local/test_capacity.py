from pathlib import Path

import pytest

from codetether_ray.local.capacity import machine_capacity

MEMINFO = "MemTotal:  4000000 kB\nMemFree:  1000000 kB\nMemAvailable:  2000000 kB\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    place = tmp_path / "proc"
    place.mkdir()
    (place / "meminfo").write_text(MEMINFO)
    return place


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    place = tmp_path / "cgroup"
    place.mkdir()
    return place


def test_a_bare_machine_gives_its_memory_and_what_is_available(proc: Path, cgroup: Path) -> None:
    found = machine_capacity(proc, cgroup)
    assert found.memory_bytes == found.largest_memory_bytes == 4_000_000 * 1024
    assert found.free_memory_bytes == 2_000_000 * 1024
    assert found.cpus >= 1


def test_a_lower_limit_of_the_control_group_counts(proc: Path, cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("1000000000\n")
    (cgroup / "memory.current").write_text("900000000\n")
    (cgroup / "memory.stat").write_text("anon 5\ninactive_file 200000000\n")
    (cgroup / "cpu.max").write_text("50000 100000\n")
    found = machine_capacity(proc, cgroup)
    assert found.memory_bytes == 1_000_000_000
    assert found.free_memory_bytes == 300_000_000
    assert found.cpus == 0.5


def test_no_limit_of_the_control_group_changes_nothing(proc: Path, cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert machine_capacity(proc, cgroup).memory_bytes == 4_000_000 * 1024


def test_this_machine_can_be_read() -> None:
    found = machine_capacity()
    assert 0 < found.free_memory_bytes <= found.memory_bytes
