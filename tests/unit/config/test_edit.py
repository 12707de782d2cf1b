import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.config.edit import set_in_file, set_in_text
from codetether_ray.core.errors import ConfigError

_FILE = """\
# mine
default_model = "a/b"   # the usual one

[workspace]
# what a fresh tree needs
copy = [
    ".env",  # keys of the app
    ".venv",
]
setup = "uv sync # not a comment"  # a comment

[swarm] # limits
max_steps = 3
"""


def test_one_line_changes_and_every_other_stays() -> None:
    new = set_in_text(_FILE, "default_model", "c/d")
    assert new == _FILE.replace('"a/b"   # the', '"c/d"   # the')


def test_a_value_with_a_hash_in_it_keeps_its_comment() -> None:
    new = set_in_text(_FILE, "workspace.setup", "make")
    assert 'setup = "make"  # a comment\n' in new
    assert new.count("\n") == _FILE.count("\n")


def test_a_value_over_several_lines_is_replaced_as_a_whole() -> None:
    new = set_in_text(_FILE, "workspace.copy", (".env",))
    assert 'copy = [".env"]\nsetup' in new


def test_a_new_key_joins_its_table() -> None:
    new = set_in_text(_FILE, "workspace.hooks", True)
    assert "a comment\nhooks = true\n\n[swarm] # limits" in new
    new = set_in_text(_FILE, "default_provider", "zai")
    assert 'default_provider = "zai"\n\n[workspace]' in new


def test_a_new_table_stands_at_the_end() -> None:
    new = set_in_text(_FILE, "agent.max_steps", 9)
    assert new == _FILE + "\n[agent]\nmax_steps = 9\n"
    assert set_in_text("", "agent.max_steps", 9) == "[agent]\nmax_steps = 9\n"


def test_dotted_keys_are_found() -> None:
    assert set_in_text("swarm.max_steps = 1\n", "swarm.max_steps", 2) == "swarm.max_steps = 2\n"


@pytest.mark.parametrize("text", ["swarm = { max_steps = 1 }\n", "[[swarm]]\nmax_steps = 1\n"])
def test_what_cannot_be_edited_line_by_line_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="swarm"):
        set_in_text(text, "swarm.max_steps", 2)
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="by hand"):
        set_in_file(path, "swarm.max_steps", 2)
    assert path.read_text() == text


_NAMES = st.sampled_from(["a", "b", "t.a", "t.b", "u.x", "t.s.q"])
_VALUES = st.one_of(
    st.booleans(),
    st.integers(-5, 10**9),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3),
)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=8))
def test_any_values_set_one_after_the_other_read_back(edits: list[tuple[str, object]]) -> None:
    text, wanted = "# kept\n", {}
    for name, value in edits:
        text = set_in_text(text, name, value)
        wanted[name] = value
    data = tomllib.loads(text)
    for name, value in wanted.items():
        found: object = data
        for part in name.split("."):
            assert isinstance(found, dict)
            found = found[part]
        assert found == value
    assert text.startswith("# kept\n")


def test_the_line_ends_of_a_file_are_kept() -> None:
    crlf = _FILE.replace("\n", "\r\n")
    assert set_in_text(crlf, "swarm.max_steps", 4) == crlf.replace("= 3", "= 4")


def test_a_first_key_stands_below_the_files_own_comment() -> None:
    assert set_in_text("# my file\n\n[t]\na = 1\n", "b", 2) == ("# my file\nb = 2\n\n[t]\na = 1\n")
    assert set_in_text("# of t\n[t]\na = 1\n", "b", 2) == "b = 2\n# of t\n[t]\na = 1\n"


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode_and_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "config.toml"
    real.parent.mkdir()
    real.write_text(_FILE)
    real.chmod(0o600)
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    set_in_file(link, "swarm.max_steps", 4)
    assert link.is_symlink()
    assert "max_steps = 4" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert os.listdir(real.parent) == ["config.toml"]  # noqa: PTH208


def test_a_missing_file_is_made_with_its_directories(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.toml"
    set_in_file(path, "default_model", "a/b")
    assert path.read_text() == 'default_model = "a/b"\n'


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("not toml")
    with pytest.raises(ConfigError, match="is not TOML"):
        set_in_file(path, "default_model", "a/b")
    assert path.read_text() == "not toml"
