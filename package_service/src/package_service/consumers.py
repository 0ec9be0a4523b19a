"""What the package service reacts to."""

from uuid import UUID

from pydantic import BaseModel

from package_service.domain import (
    NotChangeable,
    Package,
    decide_handover,
    decide_package,
    decide_withdrawal,
    describe,
    find_objection,
)
from package_service.tables import PackageRow
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryCompleted, DeliveryFailed
from shared_contracts.domain_types import PackageDescription, PackageSize
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.topology import subscriptions_of
from shared_runtime import Consumer, Problem, RowStore, UnitOfWork, loaded_by

consumer = Consumer("package-service", subscriptions_of("package-service"), [RowStore(Package, PackageRow)])


@consumer.handles(DeliveryRequested, loads=[Package], even_expired=True)
def on_delivery_requested(request: DeliveryRequested, work: UnitOfWork) -> None:
    """Register the package, or say why it cannot be shipped. A request that came too late is refused, too."""
    decision = decide_package(work.get(Package, request.delivery_id), request, work.now)
    if decision is not None:
        package, answer = decision
        work.put(package)
        work.publish(answer)


@consumer.handles(DeliveryCancelled, loads=[Package])
@consumer.handles(DeliveryFailed, loads=[Package])
def on_delivery_ended(event: DeliveryCancelled | DeliveryFailed, work: UnitOfWork) -> None:
    """Compensate: withdraw the package, also when its request is still on the way."""
    known = work.get(Package, event.delivery_id)
    decision = decide_withdrawal(known, event.delivery_id, event.owner_id, work.now)
    if decision is not None:
        package, withdrawn = decision
        work.put(package)
        if withdrawn is not None:
            work.publish(withdrawn)


@consumer.handles(DeliveryCompleted, loads=[Package])
def on_delivery_completed(event: DeliveryCompleted, work: UnitOfWork) -> None:
    """The package was handed over."""
    package = decide_handover(work.get(Package, event.delivery_id), work.now)
    if package is not None:
        work.put(package)


class DescribePackage(BaseModel):
    """The owner describes a package as a whole."""

    package_id: UUID
    owner_id: str
    description: PackageDescription


class AmendPackage(BaseModel):
    """The owner changes parts of a package. What is None stays as it is."""

    package_id: UUID
    owner_id: str
    size: PackageSize | None = None
    weight_kg: float | None = None
    tag: str | None = None


@consumer.handles(DescribePackage, loads=[loaded_by(Package, lambda command: command.package_id)])
def on_describe_package(command: DescribePackage, work: UnitOfWork) -> tuple[Package, bool]:
    """Create or replace the description. Returns the package, and whether it is new."""
    known = _own(work.get(Package, command.package_id), command.owner_id)
    return _describe(known, command.package_id, command.owner_id, command.description, work), known is None


@consumer.handles(AmendPackage, loads=[loaded_by(Package, lambda command: command.package_id)])
def on_amend_package(command: AmendPackage, work: UnitOfWork) -> Package:
    """Change parts of the description."""
    known = _own(work.get(Package, command.package_id), command.owner_id)
    if known is None or known.size is None or known.weight_kg is None:
        raise Problem(404, "package-not-found", f"there is no package {command.package_id}")
    description = PackageDescription(
        size=command.size or known.size,
        weight_kg=known.weight_kg if command.weight_kg is None else command.weight_kg,
        tag=known.tag if command.tag is None else command.tag,
    )
    return _describe(known, command.package_id, command.owner_id, description, work)


def _describe(
    known: Package | None, package_id: UUID, owner_id: str, description: PackageDescription, work: UnitOfWork
) -> Package:
    objection = find_objection(description)
    if objection is not None:
        raise Problem(422, "package-not-shippable", objection.description, reason=objection.reason)
    try:
        package = describe(known, package_id, owner_id, description, work.now)
    except NotChangeable as error:
        raise Problem(409, "package-not-changeable", str(error)) from None
    work.put(package)
    return package


def _own(package: Package | None, owner_id: str) -> Package | None:
    # Whether somebody else's package exists is nobody's business.
    if package is not None and package.owner_id != owner_id:
        raise Problem(404, "package-not-found", f"there is no package {package.package_id}")
    return package
