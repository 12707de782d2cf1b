"""When a relay has nothing more to give: by what was said and by what changed, never by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from codetether_ray.core.events import TurnDone
from codetether_ray.relay.markers import says_done

_BYTES = 280
_EQUAL = 3  # outputs in a row


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """Whether it has converged, and why, in words."""

    is_reached: bool = False
    reason: str = ""


def converged(turns: Sequence[TurnDone], base: str, *, ends_round: bool) -> Convergence:
    """Judge a relay by its turns, oldest first; `base` is the commit that it began on.

    Either three equal outputs in a row, of which the last two changed no file; or two whole
    rounds in which no file changed and everybody said that nothing is left. `ends_round`: the
    last turn was the last of its round.
    """
    if len(turns) >= _EQUAL:
        last = turns[-_EQUAL:]
        said = {normalised(turn.result.text) for turn in last}
        if len(said) == 1 and said != {""} and len({turn.commit for turn in last}) == 1:
            return Convergence(is_reached=True, reason="three equal answers, and no file changed")
    if ends_round and _is_at_rest(turns, base):
        return Convergence(
            is_reached=True, reason="two rounds without a change, and everybody is done"
        )
    return Convergence()


def normalised(text: str) -> str:
    """The first 280 bytes of an output as lower-case ASCII words."""
    words: list[str] = []
    size = 0
    for word in text.lower().split():
        bare = "".join(c for c in word if c.isascii() and c.isalnum())
        if bare:
            words.append(bare)
            size += len(bare) + 1
        if size > _BYTES:
            break
    return " ".join(words)[:_BYTES].strip()


def _is_at_rest(turns: Sequence[TurnDone], base: str) -> bool:
    if not turns or turns[-1].round < 2:
        return False
    since = turns[-1].round - 1
    recent = [turn for turn in turns if turn.round >= since]
    before = [turn for turn in turns if turn.round < since]
    start = before[-1].commit if before else base
    return all(turn.commit == start and says_done(turn.result.text) for turn in recent)
