"""What the commits of a relay say of themselves."""

from codetether_ray.core.spec import Correlation

_SUBJECT = 72
_BODY = 2_000


def turn_message(turn: int, member: str, said: str, correlation: Correlation) -> str:
    """The message of what a member left: who and when, its handoff, the ids."""
    subject = f"relay: turn {turn} by {member}"[:_SUBJECT]
    body = said.strip()
    if len(body) > _BODY:
        body = body[:_BODY].rstrip() + " […]"
    quoted = "\n".join(f"> {line}".rstrip() for line in body.splitlines())
    return f"{subject}\n\n{quoted}\n\n{trailers(member, correlation)}"


def trailers(member: str, correlation: Correlation) -> str:
    """The ids, one a line."""
    ids = {
        "Relay-Id": correlation.relay_id or correlation.run_id,
        "Okr-Id": correlation.okr_id,
        "Okr-Run-Id": correlation.okr_run_id,
        "Codetether-Run": correlation.run_id,
        "Codetether-Agent": f"relay/{member}",
    }
    return "".join(f"{name}: {value}\n" for name, value in ids.items() if value)
