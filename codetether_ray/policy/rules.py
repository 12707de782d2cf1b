"""The rules by which a request is decided. Pure.

1. A role that is not known gives nothing. A permission that any role denies is refused, whatever
   the others give.
2. Scopes narrow what the roles give: where a principal has some, one of them must match.
3. What belongs to somebody is its owner's. Others need `admin:access`, and the owner's tenant; to
   cross tenants they must have none themselves.
4. What is the whole platform's is for those without a tenant: whoever has one would read of others.
"""

from codetether_ray.core.principals import Principal
from codetether_ray.policy.roles import Roles
from codetether_ray.ports.policy import Resource

EVERYBODYS = "admin:access"
"""The permission to reach what is somebody else's."""
PLATFORMS = frozenset({"audit:read"})
"""Permissions to what all tenants share, and none may look through."""


def allows(
    roles: Roles, principal: Principal, permission: str, resource: Resource | None = None
) -> bool:
    """Whether somebody may use a permission, on a certain resource if one is given."""
    if is_kept_from(principal, permission) or not _gives(roles, principal, permission):
        return False
    return resource is None or reaches(roles, principal, resource)


def is_kept_from(principal: Principal, permission: str) -> bool:
    """Whether a permission is the platform's, and somebody a tenant's."""
    return bool(principal.tenant_id) and permission in PLATFORMS


def reaches(roles: Roles, principal: Principal, resource: Resource) -> bool:
    """Whether a resource is somebody's own, or they may reach others' and this one's tenant."""
    if resource.owner_id == principal.owner and resource.owner_id:
        return resource.tenant_id in ("", principal.tenant_id)
    if not resource.owner_id and resource.tenant_id in ("", principal.tenant_id):
        return True
    return _gives(roles, principal, EVERYBODYS) and (
        not principal.tenant_id or _tenant(resource) == principal.tenant_id
    )


def _tenant(resource: Resource) -> str:
    """The tenant of a resource: as it says, else as its owner's name begins."""
    return resource.tenant_id or resource.owner_id.rpartition("/")[0]


def _gives(roles: Roles, principal: Principal, permission: str) -> bool:
    held = [roles[name] for name in principal.roles if name in roles]
    if any(permission in role.denied for role in held):
        return False
    if not any(permission in role.permissions for role in held):
        return False
    return not principal.scopes or any(covers(scope, permission) for scope in principal.scopes)


def covers(scope: str, permission: str) -> bool:
    """Whether a scope matches: the permission itself, `resource:*`, or `*`."""
    return scope in (permission, "*", f"{permission.partition(':')[0]}:*")
