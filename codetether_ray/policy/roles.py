"""The table of roles: read, checked, and its inheritance followed to the end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a role gives, with all that it inherits. A permission that is denied is never given."""

    name: str
    description: str = ""
    permissions: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


Roles = Mapping[str, Role]


def read_roles(data: JsonValue, source: str) -> Roles:
    """The roles of a policy: `{"roles": {NAME: {"permissions", "inherits", "deny"}}}`.

    A role has its own permissions and those of every role that it inherits from, however far.

    Raises:
        ConfigError: it has another shape, a role inherits from one that is not there or, by
            whatever way, from itself.
    """
    table = data.get("roles") if isinstance(data, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: it has no object `roles`")
    raw = {name: _checked(name, value, source) for name, value in table.items()}
    found: dict[str, Role] = {}
    for name in raw:
        _follow(name, raw, found, (), source)
    return found


def own_roles() -> Roles:
    """The roles that come with the program.

    Raises:
        ConfigError: its file is damaged.
    """
    text = files("codetether_ray.policy").joinpath("data.json").read_text("utf-8")
    return read_roles(json.loads(text), "policy/data.json")


def _follow(
    name: str,
    raw: Mapping[str, JsonObject],
    found: dict[str, Role],
    way: tuple[str, ...],
    source: str,
) -> Role:
    """A role with what it inherits; `way` leads to it."""
    if name in found:
        return found[name]
    if name in way:
        raise ConfigError(f"{source}: roles inherit in a circle: {' -> '.join((*way, name))}")
    if name not in raw:
        raise ConfigError(f"{source}: `{way[-1]}` inherits from {name!r}, which is no role")
    role = raw[name]
    parents = [_follow(p, raw, found, (*way, name), source) for p in _names(role, "inherits")]
    found[name] = Role(
        name=name,
        description=str(role.get("description", "")),
        permissions=frozenset(_names(role, "permissions")).union(*(p.permissions for p in parents)),
        denied=frozenset(_names(role, "deny")).union(*(p.denied for p in parents)),
    )
    return found[name]


_MEMBERS = ("permissions", "inherits", "deny")


def _checked(name: str, value: JsonValue, source: str) -> JsonObject:
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: the role {name!r} is no object")
    for member in _MEMBERS:
        given = value.get(member, [])
        is_list = isinstance(given, list) and all(isinstance(item, str) for item in given)
        if not is_list and not (member == "inherits" and isinstance(given, str)):
            raise ConfigError(f"{source}: `{member}` of the role {name!r} is no list of texts")
    return value


def _names(role: JsonObject, member: str) -> tuple[str, ...]:
    """A list of texts; `inherits` may be one text."""
    given = role.get(member, [])
    if isinstance(given, str):
        return (given,)
    return tuple(str(item) for item in given) if isinstance(given, list) else ()
