"""The second file against the log: both get the same lines."""

import asyncio
from pathlib import Path

from codetether_ray.audit.lines import Head, after, frame
from codetether_ray.audit.log import AuditLog
from codetether_ray.audit.places import chain_path, chains, node_name
from codetether_ray.audit.second import verify_file
from tests.adapters.audit.scene import action


def write(data_dir: Path, second: Path | None, actions: int) -> None:
    async def work() -> None:
        log = AuditLog(data_dir, second=second)
        for number in range(actions):
            (id,) = await log.begin(action(number))
            log.end(id, "success")
        await log.close()

    asyncio.run(work())


def altered(path: Path) -> None:
    """Change an action and put all hashes right."""
    head, out = Head(), []
    for line in path.read_bytes().splitlines(keepends=True):
        chain = line.partition(b'"chain":"')[2].partition(b'"')[0].decode()
        members = line.partition(b'"prev":"')[2][66:].rpartition(b',"crc"')[0]
        members = members.replace(b"sha256:0001", b"sha256:9999")
        out.append(frame(chain, head, members.decode()))
        head = after(head, out[-1])
    path.write_bytes(b"".join(out))


def test_two_files_with_the_same_lines_agree(tmp_path: Path) -> None:
    write(tmp_path / "data", tmp_path / "second", 3)
    report = verify_file(tmp_path / "second", tmp_path / "data")
    assert (report.findings, report.notes) == ([], [])


def test_an_action_that_reads_differently_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path / "data", tmp_path / "second", 3)
    altered(tmp_path / "second")
    report = verify_file(tmp_path / "second", tmp_path / "data")
    assert [f.text.partition(" of ")[0] for f in report.findings] == ["the intent", "the outcome"]
    assert verify_file(tmp_path / "second").is_sound, "by itself it is a sound chain"


def test_lines_that_one_file_alone_has_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "data", None, 1)
    write(tmp_path / "data", tmp_path / "second", 3)
    assert "2 lines stand in the data directory alone" in _note(tmp_path)
    (path,) = (
        chain_path(tmp_path / "data", node_name(), chain)
        for chain in chains(tmp_path / "data", node_name())[1:]
    )
    path.unlink()
    assert "6 lines stand in second alone" in _note(tmp_path)


def _note(folder: Path) -> str:
    report = verify_file(folder / "second", folder / "data")
    assert report.is_sound
    return "; ".join(report.notes)
