from pathlib import Path

from codetether_ray.config.paths import data_dir, find_paths


def test_the_defaults_lie_under_home() -> None:
    paths = find_paths({"HOME": "/h"})
    assert paths.data == Path("/h/.local/share/codetether-agent")
    assert paths.config == Path("/h/.config/codetether-agent/config.toml")
    assert paths.cache == Path("/h/.cache/codetether-agent")


def test_xdg_variables_are_honoured_where_they_are_absolute() -> None:
    env = {
        "HOME": "/h",
        "XDG_DATA_HOME": "/d",
        "XDG_CONFIG_HOME": "relative",
        "XDG_CACHE_HOME": "",
    }
    paths = find_paths(env)
    assert paths.data == Path("/d/codetether-agent")
    assert paths.config == Path("/h/.config/codetether-agent/config.toml")
    assert paths.cache == Path("/h/.cache/codetether-agent")


def test_the_data_directory_has_a_variable_of_its_own() -> None:
    env = {"HOME": "/h", "XDG_DATA_HOME": "/d", "CODETETHER_DATA_DIR": "/own/data"}
    assert data_dir(env) == Path("/own/data")
