"""Whether workers are forked: the variable that the Rays of this program are started with."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from codetether_ray.actors.forkserver import protocol

LAUNCHER = str(Path(__file__).with_name("launch.py"))
"""The script that stands before Ray's own, where this program starts the Ray."""
_OFF = ("0", "false", "no", "off")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether a Ray that this program starts forks its workers: yes, unless it is told not to."""
    said = environ.get(protocol.SWITCH, "").strip().lower()
    return sys.platform == "linux" and hasattr(os, "fork") and said not in _OFF


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What Ray's processes are to see."""
    return {protocol.SWITCH: "1" if is_wanted(environ) else "0"}
