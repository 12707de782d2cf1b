"""Whatever somebody leaves in the directory, verification answers with a finding."""

import json
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.audit.places import (
    INDEX,
    audit_dir,
    chain_path,
    chains,
    checkpoint_dir,
    key_dir,
    node_dir,
    node_name,
)
from codetether_ray.audit.query import Query, find
from codetether_ray.audit.verify import verify
from tests.adapters.audit.scene import write_chain

DEEP = b"[" * 200_000
Change = Callable[[dict[str, Any]], object]


def chain_file(data_dir: Path, number: int = 0) -> Path:
    return chain_path(data_dir, node_name(), chains(data_dir, node_name())[number])


def genesis(change: Change) -> Callable[[Path], object]:
    """Change the newest chain's first line, with a right checksum."""

    def alter(data_dir: Path) -> None:
        path = chain_file(data_dir, -1)
        first, rest = path.read_bytes().split(b"\n", 1)
        data = json.loads(first)
        change(data["detail"])
        body = json.dumps(data, separators=(",", ":")).encode().rpartition(b',"crc"')[0]
        path.write_bytes(body + b',"crc":"%08x"}\n' % zlib.crc32(body) + rest)

    return alter


def point(change: Change) -> Callable[[Path], object]:
    """Change a checkpoint's file."""

    def alter(data_dir: Path) -> None:
        path = min(checkpoint_dir(data_dir, node_name()).glob("*.json"))
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return alter


def grow(path: Path, more: bytes) -> None:
    path.write_bytes(path.read_bytes() + more)


def replaced(path: Path, how: Callable[[Path], object]) -> None:
    path.unlink()
    how(path)


WAYS: dict[str, Callable[[Path], object]] = {
    "a node's directory is gone": lambda d: shutil.rmtree(node_dir(d, node_name())),
    "a node has another name": lambda d: node_dir(d, node_name()).rename(audit_dir(d) / "other"),
    "a chain is a directory": lambda d: replaced(chain_file(d), Path.mkdir),
    "a chain is a link to nothing": lambda d: replaced(
        chain_file(d), lambda path: path.symlink_to("/nonexistent")
    ),
    "a chain is empty": lambda d: chain_file(d).write_bytes(b""),
    "a file has no chain's name": lambda d: (node_dir(d, node_name()) / "\udcff.jsonl").touch(),
    "a chain is nested too deeply": lambda d: grow(chain_file(d), DEEP + b"\n"),
    "half a line stands behind a chain's end": lambda d: grow(chain_file(d), b'{"v":1,'),
    "the index is nested too deeply": lambda d: grow(
        node_dir(d, node_name()) / INDEX, DEEP + b"\n"
    ),
    "the index is a directory": lambda d: replaced(node_dir(d, node_name()) / INDEX, Path.mkdir),
    "a predecessor's length is no number": genesis(lambda x: x["predecessor"].update(count="x")),
    "a predecessor's length is null": genesis(lambda x: x["predecessor"].update(count=None)),
    "a predecessor's name is no path": genesis(lambda x: x["predecessor"].update(chain="a" * 5000)),
    "a predecessor's name is no text": genesis(lambda x: x["predecessor"].update(chain="\ud800")),
    "a predecessor lies elsewhere": genesis(
        lambda x: x["predecessor"].update(chain="../../../../etc/passwd")
    ),
    "the index is endless": genesis(lambda x: x["index"].update(count=float("inf"))),
    "a checkpoint is of another node": point(lambda x: x.update(origin="../other")),
    "a checkpoint's key is no text": point(lambda x: x.update(key="\ud800")),
    "a checkpoint is a directory": lambda d: (
        checkpoint_dir(d, node_name()) / "x-000000000001.json"
    ).mkdir(),
    "a checkpoint is nested too deeply": lambda d: min(
        checkpoint_dir(d, node_name()).glob("*.json")
    ).write_bytes(DEEP),
    "a public key is none": lambda d: (key_dir(d) / "other.pub").write_text("nothing"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "data"
    for _ in range(2):
        write_chain(folder, 2)
    assert verify(folder).is_sound
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_whatever_was_done_to_the_directory_is_a_finding(
    sound: Path, tmp_path: Path, way: str
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(sound, data_dir)
    WAYS[way](data_dir)
    report = verify(data_dir)
    assert report.findings
    json.dumps(report.to_json(), ensure_ascii=False).encode()  # can be printed


def test_a_line_nested_too_deeply_is_passed_over_by_queries(sound: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(sound, data_dir)
    grow(chain_file(data_dir), DEEP + b"\n")
    assert len(list(find(data_dir, Query()))) == 4


def test_checkpoints_whose_files_were_taken_away_are_told_of(sound: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(sound, data_dir)
    shutil.rmtree(checkpoint_dir(data_dir, node_name()))
    report = verify(data_dir)
    assert report.alone == 2
    assert any("stand in their chains alone" in sentence for sentence in report.unseen)


def test_a_log_that_was_taken_away_whole_is_missed_where_runs_were_made(tmp_path: Path) -> None:
    assert verify(tmp_path).is_sound
    (finding,) = verify(tmp_path, runs=[time.time()]).findings
    assert "there is no audit log, and 1 runs were made here" in finding.text
    write_chain(tmp_path, 1)
    report = verify(tmp_path, runs=[time.time(), time.time() - 86_400])
    assert report.is_sound
    assert "1 runs are older than this log" in report.notes[0]


def test_a_link_to_nothing_is_no_empty_log(tmp_path: Path) -> None:
    audit_dir(tmp_path).symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError):
        list(find(tmp_path, Query()))
