"""What Ray's control service has on record of an actor."""

from typing import Any

_DEAD = "DEAD"


def recorded(actor_id: str) -> dict[str, Any]:
    """Its row by the actor's id (hex): `State`, `Pid`, `Address`; empty where nothing is known.

    Blocks for a call of the control service.
    """
    from ray._private import state  # noqa: PLC0415 - Ray has no public call without a dashboard

    try:
        return dict(state.actors(actor_id))
    except Exception:  # noqa: BLE001 - of Ray, of whatever kind: then nothing is known
        return {}


def is_dead(actor_id: str) -> bool:
    """Whether it is known to have ended for good. Blocks for a call of the control service."""
    return recorded(actor_id).get("State") == _DEAD
