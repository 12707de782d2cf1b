"""A mirror of some of a head's files: only new bytes travel, and what differs is found out."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap.truth import pieces
from codetether_ray.bootstrap.truth.mirror import bring, fetcher
from codetether_ray.bootstrap.truth.place import LocalHome, Truth
from codetether_ray.core.errors import UsageError

pytestmark = pytest.mark.damages_runs  # segments are made up here

RUN = "swm_00mws4k4xr_686d8be8"
ROOM = f"events/{RUN}"
OPEN = "20261122T200313Z-chat-events-{:020}-open.jsonl"
SEALED = "20261122T200313Z-chat-events-{:020}-{:020}.jsonl"


@dataclass(kw_only=True)
class Head:
    """A head's data directory as a driver elsewhere asks it."""

    data_dir: Path
    id: str = "1234"
    is_here: bool = False
    travelled: int = 0
    asked: list[str] = field(default_factory=list)

    def ask_now(self, function: str, *arguments: Any) -> Any:
        found = Truth(data_dir=self.data_dir).ask_now(function, *arguments)
        self.asked.append(function)
        self.travelled += len(getattr(found, "data", b""))
        return found


@pytest.fixture
def head(tmp_path: Path) -> Head:
    (tmp_path / "data" / ROOM / "blobs").mkdir(parents=True)
    return Head(data_dir=tmp_path / "data")


def segment(head: Head, name: str, text: str) -> Path:
    path = head.data_dir / ROOM / name
    path.write_text(text)
    return path


def mirrored(head: Head, cache: Path, **how: bool) -> dict[str, str]:
    root = bring(head, cache, ROOM, **how)  # type: ignore[arg-type]
    return {p.name: p.read_text() for p in (root / ROOM).rglob("*") if p.is_file()}


def test_a_growing_segment_travels_once_and_keeps_its_bytes_when_it_is_sealed(
    head: Head, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    path = segment(head, OPEN.format(0), "one\n")
    assert mirrored(head, cache) == {path.name: "one\n"}
    segment(head, OPEN.format(0), "one\ntwo\n")
    assert mirrored(head, cache) == {path.name: "one\ntwo\n"}
    path.rename(path.with_name(SEALED.format(0, 8)))
    segment(head, OPEN.format(8), "three\n")
    assert mirrored(head, cache) == {
        SEALED.format(0, 8): "one\ntwo\n",
        OPEN.format(8): "three\n",
    }
    assert head.travelled == len("one\ntwo\nthree\n")
    head.asked.clear()
    (head.data_dir / ROOM / SEALED.format(0, 8)).with_suffix(".jsonl.gz").write_text("packed")
    (head.data_dir / ROOM / SEALED.format(0, 8)).unlink()
    assert mirrored(head, cache)[SEALED.format(0, 8)] == "one\ntwo\n"
    assert head.travelled == len("one\ntwo\nthree\n")


def test_a_tail_that_was_cut_off_and_written_anew_is_brought_anew(
    head: Head, tmp_path: Path
) -> None:
    segment(head, OPEN.format(0), "one\ntorn")
    mirrored(head, tmp_path / "cache")
    segment(head, OPEN.format(0), "one\ntwo and more\n")
    assert set(mirrored(head, tmp_path / "cache").values()) == {"one\ntwo and more\n"}


def test_a_byte_that_was_altered_there_is_seen_where_everything_counts(
    head: Head, tmp_path: Path
) -> None:
    text = "".join(f"line {n}\n" for n in range(2000))
    segment(head, SEALED.format(0, len(text)), text)
    assert set(mirrored(head, tmp_path / "cache").values()) == {text}
    altered = text.replace("line 3\n", "line 4\n", 1)
    segment(head, SEALED.format(0, len(text)), altered)
    assert set(mirrored(head, tmp_path / "cache").values()) == {text}  # sealed ones never change
    assert set(mirrored(head, tmp_path / "cache", is_exact=True).values()) == {altered}


def test_a_file_of_many_pieces_arrives_whole_from_any_beginning(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1000)
    rng = random.Random(4)
    text = ""
    for _ in range(6):
        text += "x" * rng.choice((0, 1, 999, 1000, 1001, 4500)) + "\n"
        segment(head, OPEN.format(0), text)
        assert set(mirrored(head, tmp_path / "cache").values()) == {text}
    assert head.travelled == len(text)


def test_payloads_are_brought_when_they_are_read_and_what_is_gone_there_goes_here(
    head: Head, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    (head.data_dir / ROOM / "blobs" / "ab").write_text("large")
    lost = segment(head, SEALED.format(0, 2), "a\n")
    assert "ab" not in mirrored(head, cache)
    fetch = fetcher(head, cache, lambda *_: False)  # type: ignore[arg-type]
    target = tmp_path / "target"
    assert fetch(RUN, "blobs/ab", target)
    assert target.read_text() == "large"
    assert not fetch(RUN, "blobs/cd", target)
    lost.unlink()
    assert mirrored(head, cache) == {"ab": "large"}


def test_no_private_key_and_no_other_file_is_given_out(head: Head) -> None:
    keys = head.data_dir / "audit" / "keys"
    keys.mkdir(parents=True)
    (keys / "node.key").write_text("seed")
    (keys / "node-1.pub").write_text("public")
    home = LocalHome(data_dir=head.data_dir)
    assert [one.path for one in pieces.listing(home, "audit")] == ["audit/keys/node-1.pub"]
    for name in ("audit/keys/node.key", "secrets/key", "events/../secrets/key", "/etc/passwd"):
        with pytest.raises(UsageError):
            pieces.piece(home, name, 0, 0, "")
