"""Reads the layers of configuration into flat keys with their origin, and refuses what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.config.keys import find_key, is_secret_name, nearest
from codetether_ray.config.kinds import Value
from codetether_ray.config.paths import find_paths
from codetether_ray.core.errors import ConfigError
from codetether_ray.core.masking import looks_secret

VARIABLES = {
    "CODETETHER_DEFAULT_PROVIDER": "default_provider",
    "CODETETHER_DEFAULT_MODEL": "default_model",
    "CODETETHER_LOCAL_BASE_URL": "providers.local.base_url",
    "CODETETHER_AUDIT_LOG_PATH": "audit.path",
    "CODETETHER_S3_BUCKET": "archive.bucket",
    "CODETETHER_S3_PREFIX": "archive.prefix",
    "CODETETHER_S3_ENDPOINT": "archive.endpoint",
    "CODETETHER_S3_REGION": "archive.region",
}
_MODEL = frozenset({"default_provider", "default_model"})
"""What the environment says of these counts only where no file names a model."""
PROJECT_FILES = ("codetether.toml", ".codetether/config.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Settings of one origin: a file's path or a variable's name."""

    origin: str
    values: Mapping[str, Value]


def project_files(cwd: Path) -> tuple[Path, ...]:
    """The project's files that exist, from the git root down to `cwd`."""
    found = []
    for directory in reversed(_up_to_root(cwd)):
        found += [directory / name for name in PROJECT_FILES if (directory / name).is_file()]
    return tuple(found)


def project_root(cwd: Path) -> Path:
    """The git root above `cwd`, or `cwd` itself."""
    return _up_to_root(cwd)[-1]


def _up_to_root(cwd: Path) -> list[Path]:
    cwd = cwd.absolute()
    above = [cwd, *cwd.parents]
    for number, directory in enumerate(above, 1):
        if (directory / ".git").exists():
            return above[:number]
    return [cwd]


def read_layers(cwd: Path, env: Mapping[str, str]) -> tuple[Layer, ...]:
    """The user's file, the project's files and the environment, weakest first.

    The model is the exception: files win over `CODETETHER_DEFAULT_MODEL`.

    Raises:
        ConfigError: a file or a variable is wrong.
    """
    user_file = find_paths(env).config
    layers = [read_file(user_file, is_project=False)] if user_file.is_file() else []
    layers += [read_file(path, is_project=True) for path in project_files(cwd)]
    has_model = any(_MODEL & layer.values.keys() for layer in layers)
    for variable, key in VARIABLES.items():
        if env.get(variable) and not (has_model and key in _MODEL):
            value = check_value(variable, key, _read(key, env[variable]))
            layers.append(Layer(origin=variable, values={key: value}))
    return tuple(layers)


def read_file(path: Path, *, is_project: bool) -> Layer:
    """One file.

    Raises:
        ConfigError: it is not TOML, or a key or value in it is wrong.
    """
    import tomllib  # noqa: PLC0415 - 10 ms that only who has a file pays

    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    values: dict[str, Value] = {}
    for name, value in _flat(data).items():
        check_name(str(path), name, is_project=is_project)
        values[name] = check_value(str(path), name, value)
    return Layer(origin=str(path), values=values)


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    out: dict[str, object] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = value
    return out


def _read(name: str, text: str) -> object:
    key = find_key(name)
    return key.kind.read(text) if key else text


def read_value(where: str, name: str, text: str) -> object:
    """The TOML value that the argument `text` means for the key `name`, checked.

    Raises:
        ConfigError: it is not right for that key.
    """
    value = _read(name, text)
    check_value(where, name, value)
    return value


def check_name(where: str, name: str, *, is_project: bool) -> None:
    """Refuse a key that does not exist, holds a secret, or does not belong in such a file.

    Raises:
        ConfigError: as said; `where` is the file.
    """
    key = find_key(name)
    if key is None and is_secret_name(name):
        raise ConfigError(_no_secrets(where, name))
    if key is None:
        near = nearest(name)
        hint = f"; did you mean `{near}`?" if near else "; `codetether config show` lists all keys"
        raise ConfigError(f"{where}: there is no setting `{name}`{hint}")
    if key.is_user_only and is_project:
        raise ConfigError(
            f"{where}: `{name}` may not be set by a project, because keys or runs are sent there; "
            f"set it for yourself with `codetether config set {name} VALUE`"
        )


def check_value(where: str, name: str, value: object) -> Value:
    """The value that `value` means for the key `name`.

    Raises:
        ConfigError: it has the wrong type or looks like a secret.
    """
    key = find_key(name)
    if looks_secret(str(value)):
        raise ConfigError(_no_secrets(where, name))
    try:
        if key is None:
            raise ValueError("is no setting")
        return key.kind.parse(value)
    except ValueError as error:
        raise ConfigError(f"{where}: `{name}` {error}; it is {value!r}") from None


def _no_secrets(where: str, name: str) -> str:
    parts = name.split(".")
    provider = parts[1] if parts[0] == "providers" and len(parts) > 2 else "PROVIDER"
    return (
        f"{where}: `{name}` holds a secret, and secrets do not belong in configuration; remove "
        f"it and keep the key with `codetether auth set {provider}`"
    )
