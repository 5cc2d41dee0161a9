"""Who may do what: roles and their permissions, as one table.

Does not belong here: finding out who asks (`tokens`, `dependencies`), or who owns a thing (`Principal.owns`).
"""

from collections.abc import Iterable

READS = frozenset({"status:read", "alert:read", "finance:read", "marketing:read", "visual:read", "workflow:read"})

ROLES: dict[str, frozenset[str]] = {
    "admin": READS
    | {
        "alert:write",
        "approval:write",
        "audit:read",
        "code:read",
        "code:write",
        "finance:write",
        "marketing:write",
        "token:write",
        "visual:write",
        "webhook:write",
        "workflow:write",
    },
    "developer": frozenset({"status:read", "code:read", "code:write"}),
    "api_user": READS | {"code:read", "visual:write"},
    "read_only": frozenset({"status:read"}),
}

PERMISSIONS: frozenset[str] = frozenset().union(*ROLES.values())


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Everything that the roles allow together. A role that is not known allows nothing."""
    return frozenset().union(*(ROLES.get(role, frozenset()) for role in roles))
