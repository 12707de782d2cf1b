"""The history file: private, without keys, bounded."""

import stat
from pathlib import Path

from codetether_ray.cli.repl.history import MaskedHistory
from codetether_ray.core.masking import Masker


def history(path: Path, *known: str) -> MaskedHistory:
    return MaskedHistory(path, Masker(known))


def test_entries_come_back_newest_first_over_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "data" / "history"
    first = history(path)
    for text in ("one", "two\nlines", "dreißig", "  "):
        first.append_string(text)
    assert list(history(path).load_history_strings()) == ["dreißig", "two\nlines", "one"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_are_masked_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "history"
    key = "sk-ant-" + "a1b2c3d4" * 4
    history(path, "my-own-secret").append_string(f"use {key} or my-own-secret")
    assert path.read_text() == '"use [masked] or [masked]"\n'


def test_answers_are_not_kept(tmp_path: Path) -> None:
    kept = history(tmp_path / "history")
    kept.keep_if(lambda: False)
    kept.append_string("a")
    assert not (tmp_path / "history").exists()


def test_a_torn_or_foreign_line_is_passed_over_and_a_long_file_shortened(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f'"{n}"\n' for n in range(5000)) + '{"a": 1}\n"torn')
    loaded = list(history(path).load_history_strings())
    assert loaded[:2] == ["4999", "4998"]
    assert len(loaded) == 2000
    assert len(path.read_text().splitlines()) == 2000


def test_a_place_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = history(tmp_path / "file" / "history")
    kept.append_string("one")
    assert kept.get_strings() == ["one"]
