"""One line of the doctor's: what was looked at, how it is, and what to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from codetether_ray.core.errors import CodetetherError

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, how it is, and what to do about it."""

    name: str
    state: State
    detail: str
    fix: str = ""
    node: str = ""
    """The host that it was seen on; empty for this machine and for the cluster as a whole."""


def guarded(name: str, look: Callable[[], Check]) -> Check:
    """What `look` finds; a look that fails is itself a finding, so that the others are made."""
    try:
        return look()
    except CodetetherError as error:
        return Check(name=name, state="fail", detail=str(error))
    except Exception as error:  # noqa: BLE001 - the other checks must still be made
        return Check(name=name, state="fail", detail=f"it cannot be checked: {error!r}")
