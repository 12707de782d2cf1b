"""Tokens on disk: `<data>/auth`, which this user alone can read.

`token` is the server's own, in clear, so that its owner can find it; `given` says which one counts,
since a server was started: the digest of another, or `own`; `tokens.json` has the named ones,
without their values.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from codetether_ray.core.codec import decode, encode
from codetether_ray.core.errors import ConfigError, UsageError
from codetether_ray.ports.tokens import NamedToken

SERVER_PREFIX, NAMED_PREFIX = "ctr_server_", "ctr_token_"
_BYTES = 32  # 256 bits of entropy
_OWN = "own"
_FOLDER, _SERVER, _GIVEN, _NAMED = "auth", "token", "given", "tokens.json"


def new_token(prefix: str) -> str:
    """A token that nobody can guess; its prefix says of which kind it is."""
    return prefix + secrets.token_urlsafe(_BYTES)


def digest_of(token: str) -> str:
    """What is kept and compared of a token: its SHA-256, in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def server_token_path(data_dir: Path) -> Path:
    """Where the server's own token is, if none was given."""
    return data_dir / _FOLDER / _SERVER


class FileTokens:
    """The tokens of a data directory. Every change is on disk when its call returns."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER

    # -- the server's own -------------------------------------------------------------------------

    def make_server_token(self) -> Path:
        """The file with the server's own token, made where there is none; two makers agree.

        Raises:
            ConfigError: it cannot be written or read, or others than its owner can read it.
        """
        path = self._folder / _SERVER
        with self._told():
            if not path.exists():
                self._make_folder()
                fresh = self._written(_SERVER, new_token(SERVER_PREFIX) + "\n")
                with suppress(FileExistsError):
                    os.link(fresh, path)
                fresh.unlink()
                _sync(self._folder)
            _refuse_open(path)
        return path

    def give(self, digest: str) -> None:
        """Settle that the server's token is the one with this digest; empty: its own.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self._folder / _GIVEN
        with self._told():
            self._make_folder()
            self._written(_GIVEN, (digest or _OWN) + "\n").replace(path)
            _sync(self._folder)

    def server_digest(self) -> str:
        """The digest of the server's token: the one that was given, else its own.

        Raises:
            ConfigError: it cannot be read, or its file holds something else.
        """
        if self.is_given():
            return self._given()
        with self._told():
            text = self.make_server_token().read_text("utf-8").strip()
        if not text:
            raise ConfigError(f"{self._folder / _SERVER} is empty; remove it")
        return digest_of(text)

    def is_settled(self) -> bool:
        """Whether it was said which the server's token is.

        Raises:
            ConfigError: that cannot be read.
        """
        return bool(self._given())

    def is_given(self) -> bool:
        """Whether the server's token is one that it was started with.

        Raises:
            ConfigError: that cannot be read.
        """
        return self._given() not in ("", _OWN)

    def _given(self) -> str:
        path = self._folder / _GIVEN
        with self._told():
            try:
                given = path.read_text("ascii").strip()
            except FileNotFoundError:
                return ""
        if given != _OWN and len(given) != 64:
            raise ConfigError(f"{path} holds no digest; remove it, and start the server anew")
        return given

    # -- named ones -------------------------------------------------------------------------------

    def named(self) -> tuple[NamedToken, ...]:
        """All that were made, oldest first.

        Raises:
            ConfigError: the file cannot be read, or is damaged: then none is valid.
        """
        path = self._folder / _NAMED
        with self._told():
            try:
                data = json.loads(path.read_text("utf-8"))
            except FileNotFoundError:
                return ()
            except ValueError:
                raise ConfigError(f"{path} is damaged; no named token is valid") from None
        try:
            return tuple(decode(NamedToken, item) for item in data["tokens"])
        except (TypeError, KeyError, ValueError):
            raise ConfigError(f"{path} is damaged; no named token is valid") from None

    def add(self, token: NamedToken) -> None:
        """Keep a new one; one of the same name that is no longer valid is replaced.

        Raises:
            UsageError: a valid one has its name.
            ConfigError: it cannot be written.
        """
        with self._changing():
            others = []
            for old in self.named():
                if old.name != token.name:
                    others.append(old)
                elif old.is_valid(token.created_at):
                    raise UsageError(
                        f"there is a token {token.name!r} already; `codetether auth token revoke "
                        f"{token.name}` ends it"
                    )
            self._save((*others, token))

    def revoke(self, name: str, now: float) -> bool:
        """End one; False if no valid one has that name.

        Raises:
            ConfigError: it cannot be written.
        """
        with self._changing():
            tokens = self.named()
            ended = tuple(
                replace(t, revoked_at=now) if t.name == name and t.is_valid(now) else t
                for t in tokens
            )
            if ended == tokens:
                return False
            self._save(ended)
            return True

    def mark(self) -> str:
        """Changes with every change of what decides who comes in; costs three calls of `stat`."""
        return " ".join(_mark(self._folder / name) for name in (_SERVER, _GIVEN, _NAMED))

    # -- on disk ----------------------------------------------------------------------------------

    def _save(self, tokens: tuple[NamedToken, ...]) -> None:
        text = json.dumps({"format": 1, "tokens": [encode(token) for token in tokens]}, indent=1)
        self._written(_NAMED, text + "\n").replace(self._folder / _NAMED)
        _sync(self._folder)

    def _written(self, name: str, text: str) -> Path:
        """A new file of this process with that text, on disk, under another name."""
        path = self._folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return path

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """While the only one who changes named tokens."""
        with self._told():
            self._make_folder()
            descriptor = os.open(
                self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"the tokens in {self._folder} cannot be used: {why}") from error


def _refuse_open(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        raise ConfigError(
            f"{path} can be read by others than you; `chmod 600 {path}`, and renew it"
        )


def _mark(path: Path) -> str:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "-"
    return f"{found.st_ino}.{found.st_mtime_ns}.{found.st_size}"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
