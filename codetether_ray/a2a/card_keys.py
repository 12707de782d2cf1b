"""The key that signs agent cards: in a data directory, for its owner alone."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

ALGORITHM = "ES256"
_FILE = Path("a2a") / "card-key.pem"


class CardKey:
    """A private key of P-256, and the name it goes by."""

    def __init__(self, pem: bytes) -> None:
        key = load_pem_private_key(pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key, self._pem = key, pem

    @classmethod
    def in_directory(cls, data_dir: Path) -> "CardKey":
        """The directory's key; a new one where it has none. Two who make it at once get one."""
        path = data_dir / _FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write(path, _new())
        return cls(path.read_bytes())

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        found: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        named = {name: found[name] for name in ("crv", "kty", "x", "y")}
        text = json.dumps(named, sort_keys=True, separators=(",", ":"))  # RFC 7638
        kid = hashlib.sha256(text.encode()).hexdigest()[:32]
        return named | {"kid": kid, "alg": ALGORITHM, "use": "sig"}

    def sign(self, card: AgentCard, keys_url: str) -> AgentCard:
        """The card with a signature (section 8.4), which says where the public key is."""
        signer = create_agent_card_signer(
            self._pem,
            {"alg": ALGORITHM, "kid": self.jwk["kid"], "typ": "JOSE", "jku": keys_url},
        )
        copy = AgentCard()
        copy.CopyFrom(card)
        del copy.signatures[:]
        return signer(copy)

    def token(self, claims: Mapping[str, Any], keys_url: str) -> str:
        """A JWT of the claims (RFC 7519), which says where the public key is."""
        head = {"kid": self.jwk["kid"], "jku": keys_url}
        return jwt.encode(dict(claims), self._pem, algorithm=ALGORITHM, headers=head)


def _new() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def _write(path: Path, pem: bytes) -> None:
    """Create the file whole, unless somebody else has just done so."""
    draft = path.with_suffix(f".{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
