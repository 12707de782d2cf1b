"""A provider's secret on its way to one process: sealed to that process's public key.

A SealedBox (X25519, XSalsa20-Poly1305): whoever carries it learns nothing but its length, which is
that of whole blocks. The key pair is made for one recipient and is never written anywhere.
"""

import json
import resource
from contextlib import suppress

from codetether_ray.core.errors import SecretStoreError
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.record import from_record, to_record

_BLOCK = 256  # bytes; a key's length says which kind of key it is


class Recipient:
    """A key pair of this process. Its private half and what it opens stay in memory."""

    def __init__(self) -> None:
        from nacl.public import PrivateKey  # noqa: PLC0415 - 40 ms

        _leave_no_core()
        self._key = PrivateKey.generate()

    def __repr__(self) -> str:
        return "Recipient()"

    def __reduce__(self) -> str:
        raise TypeError("a private key does not travel")

    @property
    def public(self) -> bytes:
        """What others seal to."""
        return bytes(self._key.public_key)

    def open(self, sealed: bytes) -> ProviderSecret:
        """The secret in an envelope that was sealed to `public`.

        Raises:
            SecretStoreError: it was sealed to another key, or is damaged.
        """
        from nacl.exceptions import CryptoError  # noqa: PLC0415
        from nacl.public import SealedBox  # noqa: PLC0415

        try:
            text = SealedBox(self._key).decrypt(sealed)
            return from_record(json.loads(text))
        except (CryptoError, ValueError, TypeError):
            words = "a provider's key was sealed for another process, or was damaged on its way"
            raise SecretStoreError(words) from None


def seal(secret: ProviderSecret, public: bytes) -> bytes:
    """An envelope that only the owner of `public` opens.

    Raises:
        SecretStoreError: `public` is no public key.
    """
    from nacl.exceptions import CryptoError  # noqa: PLC0415 - 40 ms
    from nacl.public import PublicKey, SealedBox  # noqa: PLC0415

    text = json.dumps(to_record(secret)).encode()
    text += b" " * (-len(text) % _BLOCK)
    try:
        return bytes(SealedBox(PublicKey(public)).encrypt(text))
    except (CryptoError, TypeError):
        raise SecretStoreError("what a key was to be sealed to is no public key") from None


def _leave_no_core() -> None:
    """A process that holds keys writes no memory image when it crashes."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
