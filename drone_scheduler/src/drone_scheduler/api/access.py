"""Who may do what over HTTP. The gateway sets the headers X-Subject and X-Roles from the caller's token."""

from typing import Annotated

from fastapi import Depends, Query

from shared_runtime.http import Roles, require_role

FLEET_ROLE = "fleet"

Staff = Annotated[str, Depends(require_role(FLEET_ROLE))]
"""A caller who looks after the fleet."""


async def _is_staff(roles: Roles) -> bool:
    return FLEET_ROLE in roles


IsStaff = Annotated[bool, Depends(_is_staff)]
"""Whether the caller looks after the fleet, where owners are served too."""
PageLength = Annotated[int, Query(ge=1, le=500)]
