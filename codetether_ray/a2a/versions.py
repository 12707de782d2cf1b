"""Which version of the protocol a client speaks, and what it may ask with it."""

from collections.abc import Mapping

from a2a.types import VersionNotSupportedError

VERSION_HEADER = "a2a-version"
"""Of HTTP headers and gRPC metadata, lower case; a query parameter of HTTP as well."""
CURRENT, OLD = "1.0", "0.3"


def version_of(said: str | None) -> str:
    """The version, major and minor, that a header states; section 3.6.2: none means 0.3.

    Raises:
        VersionNotSupportedError: it is one that is not spoken here.
    """
    stated = (said or "").strip()
    if not stated:
        return OLD
    version = ".".join(stated.split(".")[:2])
    if version not in (CURRENT, OLD):
        raise VersionNotSupportedError(
            message=f"A2A version {stated[:40]!r} is not spoken here; use {CURRENT} or {OLD}"
        )
    return version


def demand(version: str, said: str | None) -> None:
    """Return if a client that states `said` may use an interface of that version.

    Raises:
        VersionNotSupportedError: it states another.
    """
    stated = version_of(said)
    if stated != version:
        raise VersionNotSupportedError(
            message=f"this interface speaks A2A {version}, the request states {stated}; "
            f"send {VERSION_HEADER}: {version}"
        )


def stated(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """What an HTTP request states: its header, else the query parameter of the same name."""
    return headers.get(VERSION_HEADER) or query.get("A2A-Version") or query.get(VERSION_HEADER)
