"""`codetether config`: show and change settings. Keys of providers are not among them."""

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.config.kinds import Value
    from codetether_ray.config.settings import Settings


@click.group(
    "config",
    epilog=examples(
        "codetether config show",
        "codetether config set default_model anthropic/claude-sonnet-5-5",
        'codetether config set --project workspace.setup "uv sync"',
        "codetether config get swarm.max_subagents",
    ),
)
def config() -> None:
    """Show and change settings.

    Later wins: defaults, your config.toml, the project's codetether.toml and
    .codetether/config.toml from the git root down to here, environment variables.
    """


@config.command("show", epilog=examples("codetether config show", "codetether config show --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> int:
    """Show every setting with its value and where that comes from."""
    listing = _load().listing
    if as_json:
        shown = {s.key: {"value": _redacted(s.value), "origin": s.origin} for s in listing}
        click.echo(json.dumps({"settings": shown}, indent=2, ensure_ascii=False))
        return exit_codes.SUCCESS
    lines = [(f"{s.key} = {_words(_redacted(s.value))}", s.origin) for s in listing]
    width = max(len(line) for line, _ in lines)
    for line, origin in lines:
        click.echo(f"{line.ljust(width)}  # {origin}")
    return exit_codes.SUCCESS


@config.command(
    "get",
    epilog=examples(
        "codetether config get default_model", "codetether config get workspace.copy --json"
    ),
)
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print the value as JSON.")
def get(key: str, as_json: bool) -> int:
    """Print the value of KEY; exit code 1 if it is not set."""
    from codetether_ray.config.layers import check_name

    check_name("config get", key, is_project=False)
    name = {"default.model": "default_model", "default.provider": "default_provider"}.get(key, key)
    value = next((s.value for s in _load().listing if s.key == name), None)
    value = _redacted(value)
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False))
    elif value is not None:
        items = value if isinstance(value, tuple) else (value,)
        click.echo("\n".join(item if isinstance(item, str) else _words(item) for item in items))
    return exit_codes.FAILED if value is None else exit_codes.SUCCESS


@config.command(
    "set",
    epilog=examples(
        "codetether config set default_model openai/gpt-6-sol",
        'codetether config set --project workspace.copy ".env,.venv"',
        "codetether config set providers.local.base_url http://127.0.0.1:8000/v1",
    ),
)
@click.argument("key")
@click.argument("value")
@click.option("--project", is_flag=True, help="In this project's file instead of yours.")
def set_value(key: str, value: str, project: bool) -> int:
    """Set KEY to VALUE in your config.toml; every other line of the file stays as it is."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.config.edit import set_in_file
    from codetether_ray.config.layers import check_name, read_value
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    check_name("config set", key, is_project=project)
    given = read_value("config set", key, value)
    file = _project_file() if project else _load_paths_config()
    action = Action(
        category="config", action="config.set", resource=key, detail={"file": str(file)}
    )
    with acting(data_dir(os.environ), action):
        for name, part in _edits(file, key, given):
            set_in_file(file, name, part)
    click.echo(f"{key} = {_words(given)} in {file}")
    return exit_codes.SUCCESS


@config.command(
    "path",
    epilog=examples(
        "codetether config path", '$EDITOR "$(codetether config path --json | jq -r .config)"'
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def path(as_json: bool) -> int:
    """Print where settings, data and caches are kept."""
    from codetether_ray.config.layers import project_files
    from codetether_ray.config.paths import find_paths

    paths = find_paths(os.environ)
    project = [str(file) for file in project_files(Path.cwd())]
    if as_json:
        shown = {
            "config": str(paths.config),
            "project": project,
            "data": str(paths.data),
            "cache": str(paths.cache),
        }
        click.echo(json.dumps(shown))
        return exit_codes.SUCCESS
    is_there = "" if paths.config.is_file() else " (not there yet)"
    click.echo(f"config   {paths.config}{is_there}")
    for file in project:
        click.echo(f"project  {file}")
    click.echo(f"data     {paths.data}")
    click.echo(f"cache    {paths.cache}")
    return exit_codes.SUCCESS


command = config


def _load() -> "Settings":
    from codetether_ray.config.settings import load_settings

    return load_settings(Path.cwd(), os.environ)


def _load_paths_config() -> Path:
    from codetether_ray.config.paths import find_paths

    return find_paths(os.environ).config


def _project_file() -> Path:
    """The project's file nearest to here; where there is none, one at the git root."""
    from codetether_ray.config.layers import PROJECT_FILES, project_files, project_root

    files = project_files(Path.cwd())
    return files[-1] if files else project_root(Path.cwd()) / PROJECT_FILES[0]


def _edits(file: Path, key: str, value: object) -> list[tuple[str, object]]:
    """The keys to write: a model goes into the `[default]` table where the file has one."""
    if key != "default_model" or not file.is_file():
        return [(key, value)]
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("default")
    except (ValueError, OSError):
        return [(key, value)]  # the edit itself will say what is wrong with the file
    if not isinstance(table, dict) or not table:
        return [(key, value)]
    provider, _, model = str(value).partition("/")
    return [("default.provider", provider), ("default.model", model)]


def _redacted(value: "Value") -> "Value":
    from codetether_ray.core.masking import Masker

    mask = Masker()
    if isinstance(value, tuple):
        return tuple(mask(item) for item in value)
    return mask(value) if isinstance(value, str) else value


def _words(value: object) -> str:
    from codetether_ray.config.kinds import literal

    return "(not set)" if value is None else literal(value)
