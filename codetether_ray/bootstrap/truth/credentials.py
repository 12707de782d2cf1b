"""Tokens for ingresses that this user has stored: one file, its owner's alone, by URL."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from codetether_ray.config.paths import find_paths
from codetether_ray.core.errors import ConfigError

VARIABLES = ("CODETETHER_TOKEN", "CODETETHER_AUTH_TOKEN")
_FILE = "credentials.json"
_FORM = "one is a word of plain characters"


def credentials_path(env: Mapping[str, str]) -> Path:
    """Where they are: beside the user's config.toml."""
    return find_paths(env).config.with_name(_FILE)


def token_for(url: str, env: Mapping[str, str]) -> str:
    """The token for an ingress: of the environment, else the stored one; empty: none.

    Raises:
        ConfigError: the file cannot be read, or others can read it; or no token is there.
    """
    name = next((name for name in VARIABLES if env.get(name)), "")
    found = env[name].strip() if name else _read(credentials_path(env)).get(_key(url), "")
    if not found.isascii() or (found and not found.isprintable()):
        raise ConfigError(f"{name or credentials_path(env)} holds no token: {_FORM}")
    return found


def store_token(url: str, token: str, env: Mapping[str, str]) -> Path:
    """Keep a token for an ingress; empty: forget it. The file's path.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    path = credentials_path(env)
    known = _read(path)
    if token:
        known[_key(url)] = token
    elif known.pop(_key(url), None) is None:
        return path
    draft = path.with_name(f".{_FILE}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(known, file, indent=2)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _key(url: str) -> str:
    return url.rstrip("/").lower()


def _read(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others; `chmod 600 {path}` mends that")
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no JSON object")
    return {str(url): str(token) for url, token in data.items()}
