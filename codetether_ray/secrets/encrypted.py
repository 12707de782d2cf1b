"""Provider secrets in one encrypted file of this user, where no Vault is configured.

`<data>/secrets/store` is a SecretBox (XSalsa20-Poly1305) of JSON; `key`, beside it, holds the 32
random bytes that open it. That keeps keys out of backups, logs and searches of other files; it
does not keep them from a program that runs as this user.
"""

import asyncio
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.names import check_name
from codetether_ray.secrets.record import from_record, to_record

_VERSION = 1
_KEY_BYTES = 32  # nacl.secret.SecretBox.KEY_SIZE
_Records = dict[str, dict[str, Any]]


class EncryptedStore:
    """Keeps all secrets in one file that is replaced as a whole.

    The directory is 0700 and its files 0600; a key that others may read is refused. Writers take
    turns by a lock, readers need none. Nothing is made before the first secret is put.
    """

    def __init__(self, data_dir: Path) -> None:
        """Keep secrets under `data_dir`."""
        self._directory = data_dir / "secrets"
        self._key = self._directory / "key"
        self._store = self._directory / "store"

    def __repr__(self) -> str:
        return f"EncryptedStore({str(self._directory)!r})"

    @property
    def description(self) -> str:
        """The file."""
        return f"encrypted file {self._store}"

    async def get(self, provider: str) -> ProviderSecret | None:
        """A provider's secret."""
        record = (await asyncio.to_thread(self._load)).get(check_name(provider))
        return None if record is None else from_record(record)

    async def put(self, provider: str, secret: ProviderSecret) -> None:
        """Store or replace it."""
        record = to_record(secret)
        name = check_name(provider)
        await asyncio.to_thread(self._change, lambda records: records.update({name: record}))

    async def remove(self, provider: str) -> bool:
        """Remove it; False if there was none."""
        name = check_name(provider)
        if name not in await asyncio.to_thread(self._load):
            return False
        found: list[object] = []
        await asyncio.to_thread(self._change, lambda r: found.append(r.pop(name, None)))
        return found != [None]

    async def providers(self) -> tuple[str, ...]:
        """Names with a secret, sorted."""
        return tuple(sorted(await asyncio.to_thread(self._load)))

    def _load(self) -> _Records:
        try:
            sealed = self._store.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SecretStoreError(f"{self._store} cannot be read: {error.strerror}") from None
        return self._unseal(sealed, self._read_key())

    def _change(self, change: Callable[[_Records], object]) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
            with self._turn():
                key = self._read_key() if self._key.exists() else self._make_key()
                records = self._load()
                change(records)
                self._replace(records, key)
        except OSError as error:
            words = f"{self._directory} cannot be written: {error.strerror}"
            raise SecretStoreError(words) from None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._directory / "lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_key(self) -> bytes:
        if self._store.exists():
            raise SecretStoreError(self._lost_key())
        key = os.urandom(_KEY_BYTES)
        _write_new(self._key, key)
        _sync_directory(self._directory)
        return key

    def _read_key(self) -> bytes:
        try:
            descriptor = os.open(self._key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise SecretStoreError(self._lost_key()) from None
        except OSError as error:
            raise SecretStoreError(f"{self._key} cannot be read: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
                raise SecretStoreError(
                    f"{self._key} can be read by others; run `chmod 600 {self._key}` as its "
                    "owner, and replace the keys it protects if others could have copied it"
                )
            key = file.read(_KEY_BYTES + 1)
        if len(key) != _KEY_BYTES:
            raise SecretStoreError(f"{self._key} is damaged; {self._start_again()}")
        return key

    def _unseal(self, sealed: bytes, key: bytes) -> _Records:
        from nacl.exceptions import CryptoError  # noqa: PLC0415 - 40 ms
        from nacl.secret import SecretBox  # noqa: PLC0415

        try:
            data = json.loads(SecretBox(key).decrypt(sealed))
        except (CryptoError, ValueError):
            words = f"{self._store} is damaged or was sealed with another key"
            raise SecretStoreError(f"{words}; {self._start_again()}") from None
        if data.get("v") != _VERSION:
            raise SecretStoreError(f"{self._store} was written by a newer version of codetether")
        providers: _Records = data["providers"]
        return providers

    def _replace(self, records: _Records, key: bytes) -> None:
        from nacl.secret import SecretBox  # noqa: PLC0415 - 40 ms

        text = json.dumps({"v": _VERSION, "providers": records}).encode()
        unfinished = self._store.with_name("store.new")
        unfinished.unlink(missing_ok=True)
        _write_new(unfinished, bytes(SecretBox(key).encrypt(text)))
        unfinished.replace(self._store)
        _sync_directory(self._directory)

    def _lost_key(self) -> str:
        return f"{self._key}, which opens {self._store}, is missing; {self._start_again()}"

    def _start_again(self) -> str:
        return (
            f"put it back, or remove {self._store} and {self._key} and set the keys again "
            "with `codetether auth set`"
        )


def _write_new(path: Path, data: bytes) -> None:
    """A new file of mode 0600, flushed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
