"""The token that Ray asks for between its processes, on this machine."""

from collections.abc import Mapping

from codetether_ray.bootstrap.doctor.check import Check
from codetether_ray.bootstrap.token.place import find_token


def token(env: Mapping[str, str]) -> Check:
    """Whether there is one, and whether it is this user's alone. Its text is never told."""
    found = find_token(env)
    if not found.text:
        words = f"none at {found.source}; a private Ray and `codetether up` make their own"
        fix = "for a cluster of several hosts: `codetether token create`, `… spread HOST…`"
        return Check(name="ray token", state="ok", detail=words, fix=fix)
    if found.is_open:
        words = f"{found.source} may be read by others on this machine"
        return Check(name="ray token", state="fail", detail=words, fix=f"chmod 600 {found.source}")
    if env.get("RAY_AUTH_MODE", "").lower() == "disabled":
        words = f"{found.source} is not used: RAY_AUTH_MODE=disabled lets everybody in"
        return Check(name="ray token", state="warn", detail=words, fix="unset RAY_AUTH_MODE")
    words = f"{found.fingerprint} (fingerprint) from {found.source}"
    return Check(name="ray token", state="ok", detail=words)
