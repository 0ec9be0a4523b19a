"""Who is calling over HTTP, and what they may do. The gateway says so in headers that it makes from the token."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from shared_runtime.problems import Problem

SUBJECT = "X-Subject"
ROLES = "X-Roles"
SUBJECT_LENGTH_MAX = 128
ROLES_LENGTH_MAX = 1_024


async def read_caller(request: Request) -> str:
    """The subject. Raises Problem 401 when there is none, 400 when it is ambiguous or cannot be one."""
    subject = _only(request, SUBJECT)
    if not subject:
        raise Problem(401, "caller-unknown", f"the header {SUBJECT}, which the gateway sets, is missing")
    if not _is_readable(subject, SUBJECT_LENGTH_MAX):
        raise Problem(400, "caller-invalid", f"{SUBJECT} is at most {SUBJECT_LENGTH_MAX} printable ASCII characters")
    return subject


async def read_roles(request: Request) -> frozenset[str]:
    """The roles. Raises Problem 400 when they are ambiguous or cannot be any."""
    roles = _only(request, ROLES) or ""
    if not _is_readable(roles, ROLES_LENGTH_MAX):
        raise Problem(400, "caller-invalid", f"{ROLES} is at most {ROLES_LENGTH_MAX} printable ASCII characters")
    return frozenset(role for part in roles.split(",") if (role := part.strip()))


Caller = Annotated[str, Depends(read_caller)]
"""The subject of the caller."""
Roles = Annotated[frozenset[str], Depends(read_roles)]
"""The caller's roles, for what is not refused without one but answered otherwise."""


class RequiredRole:
    """A dependency of FastAPI that refuses callers without the role, and is the subject of those with it."""

    def __init__(self, role: str) -> None:
        self.role = role

    async def __call__(self, caller: Caller, roles: Roles) -> str:
        """Raises Problem 403."""
        if self.role not in roles:
            raise Problem(403, "role-missing", f"this needs the role {self.role}")
        return caller


def require_role(role: str) -> Callable[..., Any]:
    """A dependency that refuses callers without the role."""
    return RequiredRole(role)


def _only(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    # Which of two counts is anybody's guess, and the guess of a proxy on the way may be another.
    if len(values) > 1:
        raise Problem(400, "caller-ambiguous", f"the header {name} was sent more than once")
    # Space around a value is no part of it (RFC 9110, section 5.5), and not every server takes it off.
    return values[0].strip(" \t") if values else None


def _is_readable(value: str, length_max: int) -> bool:
    return len(value) <= length_max and value.isascii() and value.isprintable()
