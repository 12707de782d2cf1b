"""Where Ray looks for its token on this machine, and how one is made there.

Ray reads `RAY_AUTH_TOKEN`, else the file that `RAY_AUTH_TOKEN_PATH` names, else
`~/.ray/auth_token` (https://docs.ray.io/en/latest/ray-security/token-auth.html).
"""

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import UsageError

DEFAULT = ".ray/auth_token"
"""Below a user's home."""
_BYTES = 32  # 256 bits, as Ray's own
_PRINT_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What Ray would use: where it is from, and its text, which nobody should print."""

    source: str
    """A path, or the variable that holds it."""
    text: str = ""
    """Empty: there is none."""
    path: Path | None = None
    """None: it is in a variable."""

    def __repr__(self) -> str:
        return f"Token({self.source}, {self.fingerprint or 'none'})"

    @property
    def fingerprint(self) -> str:
        """Enough to tell two tokens apart and to guess none; empty where there is none."""
        return fingerprint(self.text)

    @property
    def is_open(self) -> bool:
        """Whether others on this machine may read its file."""
        return self.path is not None and self.path.exists() and bool(_mode(self.path) & 0o077)


def fingerprint(text: str) -> str:
    """The first digits of a token's SHA-256; empty for none."""
    return hashlib.sha256(text.encode()).hexdigest()[:_PRINT_DIGITS] if text else ""


def token_path(env: Mapping[str, str]) -> Path:
    """The file that Ray would read."""
    named = env.get("RAY_AUTH_TOKEN_PATH")
    if named:
        return Path(named).expanduser()
    return Path(env.get("HOME") or Path.home()) / DEFAULT


def find_token(env: Mapping[str, str]) -> Token:
    """The token that Ray would use here."""
    given = env.get("RAY_AUTH_TOKEN", "").strip()
    if given:
        return Token(source="RAY_AUTH_TOKEN", text=given)
    path = token_path(env)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        text = ""
    return Token(source=str(path), text=text, path=path)


def new_text() -> str:
    """A fresh token."""
    return secrets.token_hex(_BYTES)


def create(path: Path) -> Token:
    """Make a token's file, which only this user can read.

    Raises:
        UsageError: there is one already, or the file cannot be written.
    """
    if path.exists():
        raise UsageError(
            f"{path} holds a token already; `codetether token rotate` makes another, here and on "
            "the hosts that have it"
        )
    return write(path, new_text())


def write(path: Path, text: str) -> Token:
    """Put a token's text into its file, whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return Token(source=str(path), text=text, path=path)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
