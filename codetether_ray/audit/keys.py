"""A node's Ed25519 key: made on first use, private to this user, never leaves the directory.

`<data>/audit/keys/<node>.key` is the seed (hex, 0600); `<node>-<key id>.pub` beside it is the
public key (hex), to be copied somewhere else and given to `audit verify --key`.
"""

import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.audit.places import key_dir, node_name
from codetether_ray.core.errors import AuditError

_SEED_BYTES = 32
_ID = 16  # hex digits
_HEX_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, and the signature in hex."""

    key_id: str
    signature: str


class Signer:
    """Signs with a node's key."""

    def __init__(self, seed: bytes) -> None:
        from nacl import bindings  # noqa: PLC0415 - 20 ms, which most commands need not spend

        self._sign = bindings.crypto_sign
        self.public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.key_id = key_id(self.public)

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    def sign(self, message: bytes) -> Signature:
        """A detached signature."""
        return Signature(self.key_id, self._sign(message, self._secret)[:64].hex())


def key_id(public: bytes) -> str:
    """A public key's name: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:_ID]


def is_signed(message: bytes, signature: str, public: bytes) -> bool:
    """Whether that key made the signature."""
    from nacl import bindings, exceptions  # noqa: PLC0415

    try:
        bindings.crypto_sign_open(bytes.fromhex(signature) + message, public)
    except (exceptions.CryptoError, ValueError):
        return False
    return True


def open_signer(data_dir: Path, node: str = "") -> Signer:
    """This node's signer; its key is made if there is none. It blocks.

    Raises:
        AuditError: the key cannot be made or read, or others may read it.
    """
    directory = key_dir(data_dir)
    path = directory / f"{node or node_name()}.key"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        signer = Signer(_read(path))
        _publish(directory / f"{path.stem}-{signer.key_id}.pub", signer.public)
    except OSError as error:
        raise AuditError(f"the audit key {path} cannot be used: {error.strerror}") from error
    return signer


def public_keys(data_dir: Path) -> dict[str, bytes]:
    """The public keys beside the private ones, by key id."""
    found = {}
    for path in public_key_files(data_dir):
        public = read_public(path)
        found[key_id(public)] = public
    return found


def public_key_files(data_dir: Path) -> list[Path]:
    """The files of the public keys."""
    return sorted(key_dir(data_dir).glob("*.pub"))


def read_public(path: Path) -> bytes:
    """A public key's file.

    Raises:
        AuditError: it is none.
    """
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise AuditError(f"the key {path} cannot be read: {error.strerror}") from error
    if not _HEX_KEY.fullmatch(text):
        raise AuditError(f"{path} is no public key of an audit log (64 hex digits)")
    return bytes.fromhex(text)


def _make(path: Path) -> None:
    """Make a key; where two processes do, one of the keys is everybody's."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(draft, os.urandom(_SEED_BYTES).hex().encode(), 0o600)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync(path.parent)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        text = file.read().decode("ascii", "replace").strip()
    if mode & 0o077:
        raise AuditError(f"the audit key {path} may be read by others; `chmod 600 {path}`")
    if not _HEX_KEY.fullmatch(text):
        raise AuditError(f"the audit key {path} is damaged; move it away, and a new one is made")
    return bytes.fromhex(text)


def _publish(path: Path, public: bytes) -> None:
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(draft, public.hex().encode() + b"\n", 0o644)
    draft.replace(path)
    _sync(path.parent)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
