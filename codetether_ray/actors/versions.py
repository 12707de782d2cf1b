"""Which Ray, Python and codetether-ray two machines run, and what makes them agree.

Ray lets nobody in whose Ray or Python differs, down to the patch level; a driver and a node with
two versions of this program would run two different loops on one journal.
"""

import platform
import re
from dataclasses import asdict, dataclass
from typing import Any

from codetether_ray import __version__
from codetether_ray.core.errors import ClusterError

_RAY = re.compile(r"Ray: (\S+)")
_PYTHON = re.compile(r"Python: (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Of one machine; an empty one is not known."""

    ray: str = ""
    python: str = ""
    package: str = ""
    """Of this program."""

    def __str__(self) -> str:
        named = (("Ray", self.ray), ("Python", self.python), ("codetether-ray", self.package))
        return ", ".join(f"{name} {version}" for name, version in named if version)


def ours() -> Versions:
    """Of this process, without importing Ray."""
    import importlib.metadata  # noqa: PLC0415 - only where a cluster is looked at

    return Versions(
        ray=importlib.metadata.version("ray"),
        python=platform.python_version(),
        package=__version__,
    )


TOLD = f"{__name__}:told"


def told(_: Any = None) -> dict[str, str]:
    """The versions of the node that it is called on (see `RayNode.call`)."""
    return asdict(ours())


def mismatch(theirs: Versions, where: str, mine: Versions | None = None) -> str:
    """One sentence on what differs from `where` and the command that mends it here; empty if
    nothing does.
    """
    mine = mine or ours()
    pairs = (
        ("Ray", theirs.ray, mine.ray),
        ("Python", theirs.python, mine.python),
        ("codetether-ray", theirs.package, mine.package),
    )
    wrong = [(name, there, here) for name, there, here in pairs if there and there != here]
    if not wrong:
        return ""
    words = ", ".join(f"{name} {there} (here {here})" for name, there, here in wrong)
    return f"{where} runs {words}; make this machine the same: `{remedy(theirs, mine)}`"


def remedy(theirs: Versions, mine: Versions) -> str:
    """The command that gives this program the versions `theirs`, where it is run."""
    python = theirs.python or mine.python
    package = f"codetether-ray=={theirs.package or mine.package}"
    ray = f"ray[default,serve]=={theirs.ray or mine.ray}"
    return f"uv tool install --force --python {python} --with '{ray}' '{package}'"


def from_ray(text: str) -> Versions:
    """The cluster's versions in the message with which Ray refuses others."""
    theirs = text.partition("This process")[0]
    ray, python = _RAY.search(theirs), _PYTHON.search(theirs)
    return Versions(ray=ray[1] if ray else "", python=python[1] if python else "")


def demand_match(found: dict[str, str], where: str) -> None:
    """Compare what `told` gave on the cluster's head with this process.

    Raises:
        ClusterError: they differ; the sentence holds the command that mends it.
    """
    sentence = mismatch(Versions(**found), where)
    if sentence:
        raise ClusterError(sentence)
