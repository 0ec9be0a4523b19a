"""HTTP of the package service: owners see, describe and amend their packages."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import func
from sqlmodel import col, select

from package_service.consumers import AmendPackage, DescribePackage
from package_service.domain import PackageStatus
from package_service.tables import PackageRow
from shared_contracts.domain_types import ConfirmationType, PackageDescription, PackageSize
from shared_contracts.package_service.v1 import PackageRejectionReason
from shared_runtime import Problem
from shared_runtime.http import Caller, ReadSession, execute, json_body

router = APIRouter(prefix="/api/v1/packages", tags=["packages"])

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "The caller has no such package"}}
NOT_CHANGEABLE: dict[int | str, dict[str, Any]] = {
    409: {"description": "The package has gone too far to be changed like this"},
    422: {"description": "No drone may carry such a package"},
}

WeightKg = Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]


class PackageBody(BaseModel):
    """A package as its owner describes it."""

    model_config = ConfigDict(extra="forbid")

    size: PackageSize
    weight_kg: WeightKg
    tag: Annotated[str, Field(max_length=64)] = ""


class PackagePatch(BaseModel):
    """The parts of the description that are to change."""

    model_config = ConfigDict(extra="forbid")

    size: PackageSize | None = None
    weight_kg: WeightKg | None = None
    tag: Annotated[str | None, Field(max_length=64)] = None

    @model_validator(mode="after")
    def _not_empty(self) -> "PackagePatch":
        if not self.model_fields_set:
            raise ValueError("name at least one of size, weight_kg and tag")
        return self


class PackageView(BaseModel):
    """A package as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    package_id: UUID
    status: PackageStatus
    size: PackageSize | None
    weight_kg: float | None
    tag: str
    confirmation_required: ConfirmationType
    rejection_reason: PackageRejectionReason | None
    created_at: datetime
    updated_at: datetime


class OwnerSummary(BaseModel):
    """All packages of one owner in figures."""

    owner_id: str
    packages: int
    total_weight_kg: float
    by_status: dict[PackageStatus, int]
    by_size: dict[PackageSize, int]


@router.get("/summary/{owner_id}", responses={404: {"description": "The caller is another than this owner"}})
async def get_summary(owner_id: str, caller: Caller, session: ReadSession) -> OwnerSummary:
    """How many packages the owner has, by status and size. Only the owner may ask."""
    if owner_id != caller:
        raise Problem(404, "owner-not-found", f"there is no summary for {owner_id}")
    weight_kg = func.coalesce(func.sum(col(PackageRow.weight_kg)), 0.0)
    query = (
        select(col(PackageRow.status), col(PackageRow.size), func.count(), weight_kg)
        .where(col(PackageRow.owner_id) == owner_id)
        .group_by(col(PackageRow.status), col(PackageRow.size))
    )
    groups = (await session.exec(query)).all()
    by_status: dict[PackageStatus, int] = {}
    by_size: dict[PackageSize, int] = {}
    for status, size, count, _ in groups:
        by_status[PackageStatus(status)] = by_status.get(PackageStatus(status), 0) + count
        if size is not None:
            by_size[PackageSize(size)] = by_size.get(PackageSize(size), 0) + count
    return OwnerSummary(
        owner_id=owner_id,
        packages=sum(group[2] for group in groups),
        total_weight_kg=round(sum(group[3] or 0.0 for group in groups), 3),
        by_status=by_status,
        by_size=by_size,
    )


@router.get("/{package_id}", responses=NOT_FOUND)
async def get_package(package_id: UUID, caller: Caller, session: ReadSession) -> PackageView:
    """One package of the caller."""
    row = await session.get(PackageRow, package_id)
    if row is None or row.owner_id != caller:
        raise Problem(404, "package-not-found", f"there is no package {package_id}")
    return PackageView.model_validate(row)


@router.put(
    "/{package_id}",
    responses={201: {"model": PackageView, "description": "The package is new"}} | NOT_FOUND | NOT_CHANGEABLE,
)
async def put_package(
    package_id: UUID,
    caller: Caller,
    body: Annotated[PackageBody, json_body(PackageBody)],
    request: Request,
    response: Response,
) -> PackageView:
    """Describe a package: create it, or replace its description. Doing it again changes nothing."""
    description = PackageDescription(size=body.size, weight_kg=body.weight_kg, tag=body.tag)
    command = DescribePackage(package_id=package_id, owner_id=caller, description=description)
    package, is_new = await execute(request, command)
    response.status_code = 201 if is_new else 200
    return PackageView.model_validate(package)


@router.patch("/{package_id}", responses=NOT_FOUND | NOT_CHANGEABLE)
async def patch_package(
    package_id: UUID, caller: Caller, body: Annotated[PackagePatch, json_body(PackagePatch)], request: Request
) -> PackageView:
    """Change parts of the description."""
    command = AmendPackage(package_id=package_id, owner_id=caller, **body.model_dump(exclude_unset=True))
    return PackageView.model_validate(await execute(request, command))
