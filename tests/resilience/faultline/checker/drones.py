"""I2 and I6: who holds which drone, and what is undone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from faultline.checker.requests import accepted_in
from faultline.history import Change, Published, Trial
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled
from shared_contracts.package_service.v1 import PackageReady, PackageWithdrawn

HOLDING = {"Booked", "InFlight"}
LEFT_PACKAGES = {"Ready", "Described"}
ENDED_BOOKINGS = {"Completed", "Released", "Refused", "Withdrawn"}
GROUNDED = "drone_grounded"


def held_alone(trial: Trial) -> tuple[int, Iterable[str]]:
    """No drone holds two deliveries at any time.

    What one transaction did counts as done at once, when its last change was noted: it may hand a drone on, and note
    that in any order, with changes of others in between. Whoever else wants the drone waits for its end.
    """
    changes = [one for one in trial.of(Change) if one.table == "booking"]
    last: dict[str, int] = defaultdict(int)
    for change in changes:
        last[change.transaction] = max(last[change.transaction], change.position)
    changes.sort(key=lambda one: (last[one.transaction], one.position))
    holder_of: dict[str, str] = {}
    drone_of: dict[str, str] = {}
    found: list[str] = []
    for _, together in groupby(changes, key=lambda one: one.transaction):
        bookings = {change.key: change for change in together}
        for change in bookings.values():
            if (drone := drone_of.get(change.key)) is not None and not _holds(change, drone):
                del drone_of[change.key]
                if holder_of[drone] == change.key:
                    del holder_of[drone]
        for change in bookings.values():
            if change.status not in HOLDING or change.drone_id is None or drone_of.get(change.key) == change.drone_id:
                continue
            other = holder_of.get(change.drone_id)
            if other is not None:
                found.append(f"drone {change.drone_id} was booked for {change.key} while {other} held it")
            holder_of[change.drone_id] = change.key
            drone_of[change.key] = change.drone_id
    return len(changes), found


def _holds(change: Change, drone: str) -> bool:
    return change.status in HOLDING and change.drone_id == drone


def compensated_once(trial: Trial) -> tuple[int, Iterable[str]]:
    """Each step that succeeded for a delivery that then failed is undone exactly once, and nothing else is undone."""
    recorded = Counter((event.session, event.kind) for event in trial.of(Published))
    entered = Counter((change.table, change.key, change.status) for change in trial.of(Change))
    packages = {row["package_id"]: row for row in trial.final.packages}
    bookings = {row["delivery_id"]: row for row in trial.final.bookings}

    def offenders() -> Iterator[str]:
        for row in trial.final.deliveries:
            one = row["delivery_id"]
            is_completed = row["stage"] == "Completed"
            package, booking = packages.get(one, {}), bookings.get(one, {})
            ready, withdrawn = recorded[one, PackageReady.message_type], recorded[one, PackageWithdrawn.message_type]
            if ready > 1 or withdrawn != (0 if is_completed else ready):
                yield f"{one} is {row['stage']}: package ready {ready} times, withdrawn {withdrawn} times"
            booked, released = recorded[one, DroneScheduled.message_type], recorded[one, DroneReleased.message_type]
            nothing_to_release = is_completed or booking.get("failure_reason") == GROUNDED
            if booked > 1 or released != (0 if nothing_to_release else booked):
                yield f"{one} is {row['stage']}: drone booked {booked} times, released {released} times"
            if (withdrawn, released) != (row["is_package_withdrawn"], row["is_drone_released"]):
                yield f"delivery was not told what was undone of {one}"
            for table, status, count in (("package", "Withdrawn", withdrawn), ("booking", "Released", released)):
                if entered[table, one, status] > 1 or (count and not entered[table, one, status]):
                    yield f"{table} of {one} became {status} {entered[table, one, status]} times"
            if is_completed != (package.get("status") == "Delivered") or is_completed != (
                booking.get("status") == "Completed"
            ):
                yield f"{one} is {row['stage']}, its package {package.get('status')}, booking {booking.get('status')}"

    return len(trial.final.deliveries), offenders()


def nothing_reserved(trial: Trial) -> tuple[int, Iterable[str]]:
    """When all is over no drone is held, no booking waits, no package is ready, and every part knows every request."""
    packages = {row["package_id"]: row["status"] for row in trial.final.packages}
    bookings = {row["delivery_id"]: row["status"] for row in trial.final.bookings}
    everything = accepted_in(trial) | packages.keys() | bookings.keys()
    holders: dict[str, list[str]] = defaultdict(list)
    for drone in trial.final.drones:
        if drone["delivery_id"] is not None or drone["status"] in {*HOLDING, "Grounding"}:
            holders[str(drone["delivery_id"])].append(drone["drone_id"])

    def offenders() -> Iterator[str]:
        for delivery, drones in holders.items():
            yield f"{', '.join(drones)} held for {delivery}"
        for one in sorted(everything):
            if bookings.get(one) not in ENDED_BOOKINGS:
                yield f"{one} has booking {bookings.get(one)}"
            if one not in packages or packages[one] in LEFT_PACKAGES:
                yield f"{one} has package {packages.get(one)}"

    return len(everything), offenders()
