"""Commands in a message as people type them: `/go`, `/team`, `/autochat`, `/swarm`, `/ralph`."""

import re
from dataclasses import dataclass
from typing import Literal

from codetether_ray.core.errors import UsageError

Verb = Literal["go", "autochat", "swarm", "ralph"]
_VERBS: dict[str, Verb] = {
    "go": "go",
    "team": "go",
    "autochat": "autochat",
    "swarm": "swarm",
    "ralph": "ralph",
}
_SLASH = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)
_COUNT = re.compile(r"(\d{1,4})\s+(\S.*)", re.DOTALL)
_FEWEST, _MOST, _DEFAULT = 2, 8, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Slash:
    """What was typed. `count` is how many agents shall take turns."""

    verb: Verb
    text: str
    count: int = _DEFAULT


def parse_slash(message: str) -> Slash | None:
    """The command that a message is; None where it is none of these (`/autochatty` is not).

    Raises:
        UsageError: it lacks its task, or its team is too small or too large.
    """
    found = _SLASH.fullmatch(message.strip())
    verb = _VERBS.get(found[1]) if found else None
    if found is None or verb is None:
        return None
    text = (found[2] or "").strip()
    if verb == "ralph":
        return Slash(verb=verb, text=text)
    if not text:
        form = "[COUNT] TASK" if verb in ("go", "autochat") else "TASK"
        raise UsageError(f"/{found[1]} needs a task: /{found[1]} {form}")
    if verb == "swarm":
        return Slash(verb=verb, text=text)
    return _counted(verb, found[1], text)


def _counted(verb: Verb, word: str, text: str) -> Slash:
    found = _COUNT.fullmatch(text)
    if found is None:
        return Slash(verb=verb, text=text)
    count = int(found[1])
    if not _FEWEST <= count <= _MOST:
        raise UsageError(
            f"a team has {_FEWEST} to {_MOST} agents, not {count}; a task that begins with a "
            f"number needs a count before it: /{word} {_DEFAULT} {text[:40]}"
        )
    return Slash(verb=verb, text=found[2].strip(), count=count)
