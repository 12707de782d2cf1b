"""Who is in a relay's team, and how a model's answer becomes that."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.errors import PlanError
from codetether_ray.core.ids import slug

LEAST, MOST, DEFAULT_COUNT = 2, 8, 3
_PREFIX = "auto-"
_NAME_CHARS = 48
_WORDS = 400  # characters of a specialty or a mission that are kept
_CAPABILITIES = 12
_EVERYBODY = ("relay", "context-handoff", "autochat")
_MISSION = "Move the task forward by the next useful step, and hand over clearly."


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One member: a name that is its path's last part, what it is good at, and what for."""

    name: str
    specialty: str
    mission: str
    capabilities: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return encode_object(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> "Profile":
        """Read `to_json`'s form.

        Raises:
            ValueError: a member is missing.
        """
        return decode(cls, data)


def parse_team(answer: str, count: int) -> tuple[Profile, ...]:
    """The first `count` usable profiles of an answer; there may be fewer, and never less than two.

    Raises:
        PlanError: the answer holds no JSON, or too few profiles that can be used.
    """
    profiles = normalised(_profiles(answer), taken=())[: min(max(count, LEAST), MOST)]
    if len(profiles) < LEAST:
        raise PlanError(f"{len(profiles)} usable profiles, and a team needs {LEAST} at least")
    return profiles


def parse_specialist(answer: str, taken: Iterable[str]) -> Profile | None:
    """The profile of `{"spawn": true, "profile": {…}}`; None if nobody is to join.

    Raises:
        PlanError: the answer holds no such JSON.
    """
    found = next((c for c in _candidates(answer) if isinstance(c, dict)), None)
    if found is None:
        raise PlanError("the answer holds no JSON object")
    if found.get("spawn") is not True:
        return None
    profiles = normalised([found.get("profile")], taken=taken)
    if not profiles:
        raise PlanError("somebody is to join, and the profile cannot be used")
    return profiles[0]


def normalised(entries: Sequence[Any], taken: Iterable[str]) -> tuple[Profile, ...]:
    """Usable profiles, their names unlike each other and those `taken`."""
    used = set(taken)
    out: list[Profile] = []
    for entry in entries:
        if not isinstance(entry, dict) or not _text(entry.get("name")):
            continue
        name = _unique(_name(_text(entry["name"])), used)
        used.add(name)
        specialty = _text(entry.get("specialty")) or "generalist"
        out.append(
            Profile(
                name=name,
                specialty=specialty,
                mission=_text(entry.get("mission")) or _MISSION,
                capabilities=_capabilities(specialty, entry.get("capabilities")),
            )
        )
    return tuple(out)


def fallback_team(count: int) -> tuple[Profile, ...]:
    """A team of generalists, where no model gave one."""
    return tuple(
        Profile(
            name=f"{_PREFIX}agent-{number}",
            specialty="generalist",
            mission=_MISSION,
            capabilities=("generalist", "self-organizing", *_EVERYBODY),
        )
        for number in range(1, min(max(count, LEAST), MOST) + 1)
    )


def _profiles(answer: str) -> list[Any]:
    for found in _candidates(answer):
        if isinstance(found, list):
            return found
        if isinstance(found, dict) and isinstance(found.get("profiles"), list):
            return list(found["profiles"])
    raise PlanError('the answer holds no JSON object with a list "profiles"')


def _candidates(answer: str) -> Iterator[Any]:
    """The whole text, else what stands between the outermost braces, else the brackets."""
    texts = [answer]
    for first, last in ("{}", "[]"):
        start, end = answer.find(first), answer.rfind(last)
        if 0 <= start < end:
            texts.append(answer[start : end + 1])
    for text in texts:
        try:
            yield json.loads(text)
        except ValueError:
            continue


def _text(value: Any) -> str:
    return " ".join(value.split())[:_WORDS] if isinstance(value, str) else ""


def _name(text: str) -> str:
    bare = slug(text, _NAME_CHARS)
    return (bare if bare.startswith(_PREFIX) else f"{_PREFIX}{bare}")[:_NAME_CHARS].strip("-")


def _unique(name: str, used: set[str]) -> str:
    found, number = name, 2
    while found in used:
        tail = f"-{number}"
        found, number = name[: _NAME_CHARS - len(tail)].rstrip("-") + tail, number + 1
    return found


def _capabilities(specialty: str, given: Any) -> tuple[str, ...]:
    more = [v for v in given if isinstance(v, str)] if isinstance(given, list) else []
    slugs = [slug(word) for word in (specialty, *more)[:_CAPABILITIES] if word.strip()]
    return tuple(dict.fromkeys((*slugs, *_EVERYBODY)))
