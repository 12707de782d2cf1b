"""Old chains go, a signed roll-up of how they ended stays, and verification accepts it."""

import json
import shutil
import time
from pathlib import Path

import pytest

from codetether_ray.audit.places import chains, checkpoint_dir, node_name
from codetether_ray.audit.retire import retire
from codetether_ray.audit.rollup import kept_roll_ups
from codetether_ray.audit.verify import verify
from codetether_ray.core.errors import AuditError
from tests.adapters.audit.scene import entries, path_of, write_chain


def retired(data_dir: Path, **given: object) -> tuple[int, int]:
    values: dict[str, object] = {"before": time.time(), "now": time.time(), **given}
    done = retire(data_dir, **values)  # type: ignore[arg-type]
    return done.chains, done.waiting


def test_retired_chains_are_gone_and_the_log_is_sound(tmp_path: Path) -> None:
    old = [write_chain(tmp_path, 2), write_chain(tmp_path, 1)]
    assert retired(tmp_path) == (2, 0)
    assert not any(path_of(tmp_path, chain).exists() for chain in old)
    assert len(list(checkpoint_dir(tmp_path, node_name()).iterdir())) == 1, "the roll-up"
    new = write_chain(tmp_path, 1)
    assert chains(tmp_path, node_name()) == (new,)
    report = verify(tmp_path)
    assert (report.findings, report.retired, report.chains) == ([], 2, 1)
    assert any("were retired" in sentence for sentence in report.unseen)
    assert len(entries(tmp_path)) == 1


def test_what_is_younger_or_still_written_stays(tmp_path: Path) -> None:
    closed, written = write_chain(tmp_path, 1), write_chain(tmp_path, 1, is_closed=False)
    assert retired(tmp_path, before=time.time() - 60) == (0, 0)
    assert retired(tmp_path) == (1, 0)
    assert chains(tmp_path, node_name()) == (written,)
    assert closed not in chains(tmp_path, node_name())


def test_what_the_archive_lacks_stays(tmp_path: Path) -> None:
    first, second = write_chain(tmp_path, 1), write_chain(tmp_path, 1)
    kept = path_of(tmp_path, first)
    assert retired(tmp_path, is_kept=lambda path: path == kept) == (1, 1)
    assert chains(tmp_path, node_name()) == (second,)
    assert verify(tmp_path).is_sound


def test_a_chain_that_never_got_its_first_line_is_retired(tmp_path: Path) -> None:
    path = path_of(tmp_path, write_chain(tmp_path, 1))
    path.write_bytes(b"")
    for point in checkpoint_dir(tmp_path, node_name()).iterdir():
        point.unlink()
    assert retired(tmp_path) == (1, 0)
    assert verify(tmp_path).is_sound


def test_nothing_is_retired_of_a_log_that_is_not_sound(tmp_path: Path) -> None:
    path = path_of(tmp_path, write_chain(tmp_path, 1))
    path.write_bytes(path.read_bytes().replace(b"tool:bash", b"tool:bosh", 1))
    with pytest.raises(AuditError, match="not sound"):
        retire(tmp_path, before=time.time(), now=time.time())
    assert path.exists()


def test_a_chain_that_came_back_is_held_against_its_roll_up(tmp_path: Path) -> None:
    chain = write_chain(tmp_path, 2)
    data = path_of(tmp_path, chain).read_bytes()
    write_chain(tmp_path, 1)
    retired(tmp_path)
    path_of(tmp_path, chain).write_bytes(data)
    assert verify(tmp_path).is_sound, "stopped before the files went"
    assert retired(tmp_path) == (1, 0), "the next call takes them away"
    path_of(tmp_path, chain).write_bytes(data[: data.index(b"\n") + 1])
    (finding,) = verify(tmp_path).findings
    assert "says the roll-up" in finding.text


def test_a_roll_up_that_was_taken_away_leaves_missing_chains(tmp_path: Path) -> None:
    write_chain(tmp_path, 1)
    retired(tmp_path)
    (path,) = kept_roll_ups(tmp_path, node_name())
    kept = path.read_text()
    path.unlink()
    assert [f.text for f in verify(tmp_path).findings] == ["the chain is missing: its file is gone"]
    for name, value in (("time", "2000"), ("key", "\ud800"), ("chains", 7), ("origin", "x")):
        path.write_text(json.dumps({**json.loads(kept), name: value}))
        assert "roll-up" in verify(tmp_path).findings[0].text, name


def test_the_index_of_retired_chains_is_still_missed(tmp_path: Path) -> None:
    write_chain(tmp_path, 1)
    retired(tmp_path)
    shutil.rmtree(path_of(tmp_path, "x").parent)
    assert [f.text for f in verify(tmp_path).findings] == ["the index is missing"]
