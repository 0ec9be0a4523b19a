"""The rules of packages: what may be shipped, and what becomes of a package. No I/O; the time is passed in."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from shared_contracts.domain_types import ConfirmationType, PackageDescription, PackageSize
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageRejectionReason, PackageWithdrawn

if TYPE_CHECKING:
    # mypy checks names and types of the changes, which msgspec's own signature leaves open.
    from dataclasses import replace as replace
else:
    from msgspec.structs import replace

WEIGHT_LIMIT_KG = {PackageSize.SMALL: 2.0, PackageSize.MEDIUM: 5.0, PackageSize.LARGE: 15.0}
"""The heaviest package of each size."""

SHIPPABLE_TAGS = frozenset({"", "documents", "food", "fragile", "keep-upright", "medical", "temperature-controlled"})
"""A tag outside this list is refused: what nobody has judged does not fly."""

QUOTED_TAG_LENGTH_MAX = 100
"""Characters of a refused tag in the sentence that refuses it, escapes and quotes included."""


class PackageStatus(StrEnum):
    """Where a package stands."""

    DESCRIBED = "Described"
    """Its owner described it; no delivery asked for it yet."""
    READY = "Ready"
    """It may be shipped and belongs to a running delivery."""
    REJECTED = "Rejected"
    WITHDRAWN = "Withdrawn"
    """Its delivery failed or was cancelled. Also the tombstone of a delivery that ended before its request came."""
    DELIVERED = "Delivered"


class Package(Struct, frozen=True):
    """The package of one delivery. A tombstone has no description."""

    package_id: UUID
    owner_id: str
    status: PackageStatus
    size: PackageSize | None
    weight_kg: float | None
    tag: str
    confirmation_required: ConfirmationType
    rejection_reason: PackageRejectionReason | None
    created_at: datetime
    updated_at: datetime


class Objection(Struct, frozen=True):
    """Why a package cannot be shipped."""

    reason: PackageRejectionReason
    description: str


def find_objection(package: PackageDescription) -> Objection | None:
    """What speaks against shipping the package, None when nothing does."""
    limit_kg = WEIGHT_LIMIT_KG[package.size]
    if package.weight_kg > limit_kg:
        description = f"{package.weight_kg} kg is more than the {limit_kg} kg that a {package.size} package may weigh"
        return Objection(PackageRejectionReason.TOO_HEAVY, description)
    if package.tag not in SHIPPABLE_TAGS:
        # A customer may write what cannot be printed. Escaped, it is up to ten times as long.
        tag = f"{package.tag!r:.{QUOTED_TAG_LENGTH_MAX}}"
        return Objection(PackageRejectionReason.TAG_NOT_ALLOWED, f"packages tagged {tag} are not shipped")
    return None


def decide_package(
    known: Package | None, request: DeliveryRequested, now: datetime
) -> tuple[Package, PackageReady | PackageRejected] | None:
    """What a delivery request makes of its package, None when the package was decided on before."""
    if known is not None and known.status is not PackageStatus.DESCRIBED:
        return None
    if request.deadline <= now:
        return refuse(request, Objection(PackageRejectionReason.REQUEST_EXPIRED, "the deadline is past"), now)
    objection = find_objection(request.package)
    if objection is not None:
        return refuse(request, objection, now)
    package = _package_of(request, PackageStatus.READY, None, now)
    ready = PackageReady(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        package_id=request.delivery_id,
        package=request.package,
        confirmation_required=request.confirmation_required,
        deadline=request.deadline,
    )
    return package, ready


def refuse(request: DeliveryRequested, objection: Objection, now: datetime) -> tuple[Package, PackageRejected]:
    """The package is not shipped, for the reason given."""
    rejected = PackageRejected(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        reason=objection.reason,
        description=objection.description,
    )
    return _package_of(request, PackageStatus.REJECTED, objection.reason, now), rejected


def decide_withdrawal(
    known: Package | None, package_id: UUID, owner_id: str, now: datetime
) -> tuple[Package, PackageWithdrawn | None] | None:
    """What the end of a delivery makes of its package: withdrawn, or a tombstone when the request has not come yet.

    None when there is nothing to undo. PackageWithdrawn is said only of a package that had been ready.
    """
    if known is None:
        return tombstone(package_id, owner_id, now), None
    if known.status in {PackageStatus.REJECTED, PackageStatus.WITHDRAWN, PackageStatus.DELIVERED}:
        return None
    withdrawn = replace(known, status=PackageStatus.WITHDRAWN, updated_at=now)
    if known.status is PackageStatus.DESCRIBED:
        return withdrawn, None
    return withdrawn, PackageWithdrawn(delivery_id=package_id, package_id=package_id)


def decide_handover(known: Package | None, now: datetime) -> Package | None:
    """The package of a completed delivery, None when it was not on its way."""
    if known is None or known.status is not PackageStatus.READY:
        return None
    return replace(known, status=PackageStatus.DELIVERED, updated_at=now)


def describe(
    known: Package | None, package_id: UUID, owner_id: str, description: PackageDescription, now: datetime
) -> Package:
    """The package as its owner describes it. Raises NotChangeable when size or weight are fixed by now."""
    if known is None:
        return Package(
            package_id=package_id,
            owner_id=owner_id,
            status=PackageStatus.DESCRIBED,
            size=description.size,
            weight_kg=description.weight_kg,
            tag=description.tag,
            confirmation_required=ConfirmationType.NONE,
            rejection_reason=None,
            created_at=now,
            updated_at=now,
        )
    if known.status is PackageStatus.READY and (known.size, known.weight_kg) != (
        description.size,
        description.weight_kg,
    ):
        raise NotChangeable("a drone is booked for this size and weight; only the tag can change")
    if known.status not in {PackageStatus.DESCRIBED, PackageStatus.READY}:
        raise NotChangeable(f"the package is {known.status.lower()}")
    return replace(known, size=description.size, weight_kg=description.weight_kg, tag=description.tag, updated_at=now)


class NotChangeable(Exception):
    """The package cannot be described anew at this stage."""


def tombstone(package_id: UUID, owner_id: str, now: datetime) -> Package:
    """What is kept of a delivery that ended before its request came."""
    return Package(
        package_id=package_id,
        owner_id=owner_id,
        status=PackageStatus.WITHDRAWN,
        size=None,
        weight_kg=None,
        tag="",
        confirmation_required=ConfirmationType.NONE,
        rejection_reason=None,
        created_at=now,
        updated_at=now,
    )


def _package_of(
    request: DeliveryRequested, status: PackageStatus, reason: PackageRejectionReason | None, now: datetime
) -> Package:
    return Package(
        package_id=request.delivery_id,
        owner_id=request.owner_id,
        status=status,
        size=request.package.size,
        weight_kg=request.package.weight_kg,
        tag=request.package.tag,
        confirmation_required=request.confirmation_required,
        rejection_reason=reason,
        created_at=now,
        updated_at=now,
    )
