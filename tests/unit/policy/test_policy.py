"""The table of roles and the rules by which a request is decided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import ConfigError
from codetether_ray.core.principals import Principal
from codetether_ray.ingress import permissions
from codetether_ray.policy import rules
from codetether_ray.policy.local import LocalPolicy
from codetether_ray.policy.roles import own_roles, read_roles
from codetether_ray.ports.policy import Resource

OWN = own_roles()
EVERY = sorted(OWN["admin"].permissions)
_NAMES = st.sampled_from(["r0", "r1", "r2", "r3", "r4"])
_PERMISSIONS = st.sampled_from(["tasks:read", "tasks:write", "runs:read", "admin:access"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, dict[str, list[str]]]:
    """Roles that inherit only from earlier ones: no circles."""
    table: dict[str, dict[str, list[str]]] = {}
    for n in range(draw(st.integers(1, 5))):
        table[f"r{n}"] = {
            "permissions": draw(st.lists(_PERMISSIONS, max_size=3)),
            "deny": draw(st.lists(_PERMISSIONS, max_size=1)),
            "inherits": draw(st.lists(st.sampled_from([f"r{i}" for i in range(n)] or ["r0"]),
                                      max_size=2)) if n else [],
        }  # fmt: skip
    return table


@pytest.mark.parametrize("name", sorted(OWN))
def test_no_role_gives_more_than_an_administrator(name: str) -> None:
    assert OWN[name].permissions <= OWN["admin"].permissions


def test_the_words_of_the_reference_are_there_and_each_role_has_what_it_inherits() -> None:
    assert {"admin", "a2a-admin", "operator", "editor", "viewer"} <= OWN.keys()
    assert OWN["a2a-admin"].permissions == OWN["admin"].permissions
    assert OWN["viewer"].permissions < OWN["editor"].permissions < OWN["operator"].permissions
    assert OWN["operator"].permissions < OWN["admin"].permissions


def test_whoever_only_looks_can_start_and_change_nothing() -> None:
    assert {name.partition(":")[2] for name in OWN["viewer"].permissions} == {"read"}


def test_every_permission_that_a_route_or_rpc_needs_is_one_that_an_administrator_has() -> None:
    needed = permissions.every() - {permissions.BY_METHOD}
    assert needed <= set(EVERY)


def test_a_role_keeps_its_own_permissions_beside_those_that_it_inherits_from_afar() -> None:
    roles = read_roles(
        {
            "roles": {
                "c": {"permissions": ["c:x"], "inherits": "b"},
                "b": {"inherits": ["a"]},
                "a": {"permissions": ["a:x"]},
            }
        },
        "here",
    )
    assert roles["c"].permissions == {"c:x", "a:x"}


@pytest.mark.parametrize(
    ("roles", "word"),
    [
        ({"a": {"inherits": ["b"]}, "b": {"inherits": ["a"]}}, "circle: a -> b -> a"),
        ({"a": {"inherits": ["a"]}}, "circle"),
        ({"a": {"inherits": ["nobody"]}}, "no role"),
        ({"a": {"permissions": "tasks:read"}}, "list of texts"),
        ({"a": {"permissions": [1]}}, "list of texts"),
        ({"a": []}, "no object"),
        ([], "roles"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_in_a_sentence(roles: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        read_roles({"roles": roles}, "here")  # type: ignore[dict-item]


@given(tables(), st.lists(_NAMES, max_size=3), _PERMISSIONS)
def test_a_permission_that_any_role_denies_is_refused(
    table: dict[str, dict[str, list[str]]], held: list[str], permission: str
) -> None:
    roles = read_roles({"roles": table}, "here")  # type: ignore[dict-item]
    someone = Principal(user_id="u", roles=tuple(held))
    mine = [roles[name] for name in held if name in roles]
    expected = any(permission in role.permissions for role in mine) and not any(
        permission in role.denied for role in mine
    )
    assert rules.allows(roles, someone, permission) is expected


@given(
    st.lists(st.sampled_from([*sorted(OWN), "nobody"]), max_size=3),
    st.lists(st.sampled_from([*EVERY[:6], "tasks:*", "runs:*", "*", "tasks", ""]), max_size=3),
    st.sampled_from([*EVERY, "unheard:of"]),
)
def test_scopes_never_give_what_the_roles_do_not(
    held: list[str], scopes: list[str], permission: str
) -> None:
    wide = Principal(user_id="u", roles=tuple(held))
    narrow = Principal(user_id="u", roles=tuple(held), scopes=tuple(scopes))
    allowed = rules.allows(OWN, narrow, permission)
    assert not allowed or rules.allows(OWN, wide, permission)
    if scopes and allowed:
        assert any(s in (permission, "*", permission.split(":")[0] + ":*") for s in scopes)


_TENANTS = st.sampled_from(["", "acme", "globex"])
_USERS = st.sampled_from(["ann", "bob"])


@given(_USERS, _TENANTS, st.sampled_from(sorted(OWN)), _USERS, _TENANTS)
def test_what_is_somebody_elses_needs_a_permission_and_never_crosses_tenants(
    user: str, tenant: str, role: str, owner: str, owners_tenant: str
) -> None:
    asker = Principal(user_id=user, tenant_id=tenant, roles=(role,))
    theirs = Principal(user_id=owner, tenant_id=owners_tenant)
    task = Resource(type="task", owner_id=theirs.owner, tenant_id=owners_tenant)
    allowed = rules.allows(OWN, asker, "tasks:read", task)
    if not rules.allows(OWN, asker, "tasks:read"):
        assert not allowed
    elif asker.owner == theirs.owner:
        assert allowed
    else:
        is_admin = "admin:access" in OWN[role].permissions
        assert allowed is (is_admin and tenant in ("", owners_tenant))


@given(_USERS, _TENANTS, st.sampled_from(sorted(OWN)), _USERS, _TENANTS)
def test_an_owners_name_alone_says_its_tenant(
    user: str, tenant: str, role: str, owner: str, owners_tenant: str
) -> None:
    asker = Principal(user_id=user, tenant_id=tenant, roles=(role,))
    theirs = Principal(user_id=owner, tenant_id=owners_tenant)
    told = Resource(owner_id=theirs.owner, tenant_id=owners_tenant)
    untold = Resource(owner_id=theirs.owner)
    assert rules.reaches(OWN, asker, told) is rules.reaches(OWN, asker, untold)


async def test_a_scope_takes_away_an_administrators_reach_to_others() -> None:
    policy = LocalPolicy()
    narrow = Principal(user_id="root", roles=("admin",), scopes=("tasks:*",))
    task = Resource(type="task", owner_id="ann")
    assert await policy.allows(narrow, "tasks:read")
    assert not await policy.allows(narrow, "tasks:read", task)
    assert await policy.allows(Principal(user_id="r", roles=("admin",)), "tasks:read", task)


async def test_what_is_the_whole_platforms_is_kept_from_every_tenant() -> None:
    policy = LocalPolicy()
    tenants = Principal(user_id="boss", tenant_id="acme", roles=("admin",))
    assert not await policy.allows(tenants, "audit:read")
    assert await policy.allows(Principal(user_id="root", roles=("admin",)), "audit:read")
