"""Signs push notifications where the key is: in the truth's data directory, as cards are."""

import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.options import IngressOptions

_HERE = "codetether_ray.ingress.push_signing"
_VALID_S = 300


def push_signer(options: IngressOptions, reach: Reach) -> Callable[[bytes, str], Awaitable[str]]:
    """Makes the JWT of a notification: over its body's digest, valid for five minutes."""
    from codetether_ray.ingress.cards import public_url

    async def sign(body: bytes, task_id: str) -> str:
        url = public_url(options)
        now = int(time.time())
        claims = {
            "iss": url,
            "sub": task_id,
            "iat": now,
            "exp": now + _VALID_S,
            "jti": uuid.uuid4().hex,
            "request_body_sha256": hashlib.sha256(body).hexdigest(),
        }
        keys_url = f"{url}/.well-known/jwks.json"
        token: str = await reach.truth.ask(f"{_HERE}:sign_there", claims, keys_url)
        return token

    return sign


def sign_there(home: Any, claims: dict[str, Any], keys_url: str) -> str:
    """For `Truth.ask`: the claims as a JWT."""
    from codetether_ray.a2a.card_keys import CardKey

    return CardKey.in_directory(home.data_dir).token(claims, keys_url)
