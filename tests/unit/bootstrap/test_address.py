"""Which cluster a command uses, and what reads it."""

from pathlib import Path

import pytest

from codetether_ray.bootstrap.truth.address import LOCAL, choose_address
from codetether_ray.bootstrap.truth.reading import reading
from codetether_ray.cli.main import run
from codetether_ray.core.errors import ConfigError, UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_ADDRESS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def env(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), **more}


def test_the_command_line_wins_over_the_environment_and_that_over_what_is_saved(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_address(None, env(home)).value == ""
    assert run(["context", "use", "10.0.0.5:6379"]) == 0
    assert choose_address(None, env(home)).value == "10.0.0.5:6379"
    named = choose_address(None, env(home, RAY_ADDRESS="h:1"))
    assert (named.value, named.origin) == ("h:1", "RAY_ADDRESS")
    assert choose_address("k:2", env(home, RAY_ADDRESS="h:1")).value == "k:2"
    assert choose_address(LOCAL, env(home, RAY_ADDRESS="h:1")).is_local
    capsys.readouterr()
    assert run(["context", "show", "--json"]) == 0
    assert '"10.0.0.5:6379"' in capsys.readouterr().out
    assert run(["context", "clear"]) == 0
    assert choose_address(None, env(home)).value == ""


@pytest.mark.parametrize("text", ["nonsense", "h:", ":1", "h:99999", "http://h:80/x", ""])
def test_what_is_no_address_is_refused_before_anything_is_joined(home: Path, text: str) -> None:
    with pytest.raises(UsageError, match="HOST:6379"):
        choose_address(text, env(home))
    assert run(["context", "use", text]) == 2


@pytest.mark.parametrize(
    "text", ["10.0.0.5:6379", "[fd00::1]:6379", "ray://h:10001", "http://h:8265", "local"]
)
def test_an_address_may_have_these_forms(home: Path, text: str) -> None:
    assert choose_address(text, env(home)).value == text


def test_a_saved_address_of_a_wrong_kind_is_named_with_its_file(home: Path) -> None:
    file = home / ".config" / "codetether-agent" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[cluster]\naddress = 3\n")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        choose_address(None, env(home))


def test_where_no_cluster_is_named_the_files_here_are_read(home: Path) -> None:
    said: list[str] = []
    with reading(None, said.append) as source:
        assert (source.is_here, source.label, source.runs()) == (True, "this machine", ())
        assert source.audit() == home / "data"
    assert said == []
