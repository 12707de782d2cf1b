"""Tokens for peers, in a file that its owner alone can read: `{"URL": "token"}`.

CODETETHER_PEER_TOKENS names it. A token goes to the scheme, host and port of its URL and to nothing
else, so that nobody gets one who was merely heard of. The file is read again when it changes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from codetether_ray.a2a.peers import normal_url
from codetether_ray.core.errors import ConfigError

VARIABLE = "CODETETHER_PEER_TOKENS"
_PORTS = {"http": 80, "https": 443}


class PeerTokens:
    """The tokens of one file; without a file there are none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._mark: tuple[int, int] | None = None
        self._tokens: dict[tuple[str, str, int], str] = {}

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "PeerTokens":
        """Those of the file that the environment names."""
        given = env.get(VARIABLE, "").strip()
        return cls(Path(given).expanduser() if given else None)

    def token_for(self, url: str) -> str:
        """The token for a URL; empty: there is none.

        Raises:
            ConfigError: the file is not there, cannot be read, or others can read it.
        """
        self._read()
        place = _place(url)
        return self._tokens.get(place, "") if place else ""

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
            mark = found.st_mtime_ns, found.st_size
            if mark == self._mark:
                return
            if found.st_mode & 0o077:
                raise ConfigError(
                    f"{self._path} can be read by others; `chmod 600 {self._path}` mends that"
                )
            data = json.loads(self._path.read_text("utf-8"))
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise ConfigError(f"{VARIABLE}: {self._path}: {reason}") from None
        except ValueError:
            raise ConfigError(f"{VARIABLE}: {self._path} is no JSON") from None
        self._tokens, self._mark = _checked(data, self._path), mark


def _checked(data: object, path: Path) -> dict[tuple[str, str, int], str]:
    if not isinstance(data, dict):
        raise ConfigError(f'{VARIABLE}: {path} must be an object, {{"URL": "token"}}')
    found: dict[tuple[str, str, int], str] = {}
    for url, token in data.items():
        place = _place(url)
        if place is None:
            raise ConfigError(f"{VARIABLE}: {path}: {url!r} is no URL of a peer")
        is_word = isinstance(token, str) and token and all("!" <= c <= "~" for c in token)
        if not is_word:
            raise ConfigError(f"{VARIABLE}: {path}: the token of {url} is no word of plain letters")
        found[place] = token
    return found


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port."""
    normal = normal_url(url)
    if not normal:
        return None
    parts = urlsplit(normal)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]
