"""What may be shipped, and what becomes of a package: the specification in examples."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from package_examples import a_request

from package_service.domain import (
    WEIGHT_LIMIT_KG,
    NotChangeable,
    PackageStatus,
    decide_handover,
    decide_package,
    decide_withdrawal,
    describe,
    find_objection,
)
from shared_contracts.domain_types import PackageDescription, PackageSize
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageRejectionReason
from shared_runtime.envelope import utc_now

NOW = utc_now()


def a_package(status: PackageStatus = PackageStatus.READY):
    package, _ = decide_package(None, a_request(), NOW)
    return replace(package, status=status)


@pytest.mark.parametrize("size", PackageSize)
def test_the_limit_of_each_size_may_be_reached_but_not_passed(size: PackageSize) -> None:
    limit_kg = WEIGHT_LIMIT_KG[size]
    assert find_objection(PackageDescription(size=size, weight_kg=limit_kg)) is None
    objection = find_objection(PackageDescription(size=size, weight_kg=limit_kg + 0.001))
    assert objection is not None
    assert objection.reason is PackageRejectionReason.TOO_HEAVY


@given(st.text(min_size=1, max_size=64))
def test_a_tag_that_nobody_judged_is_refused(tag: str) -> None:
    objection = find_objection(PackageDescription(size=PackageSize.SMALL, weight_kg=1, tag=f"unjudged {tag}"[:64]))
    assert objection is not None
    assert objection.reason is PackageRejectionReason.TAG_NOT_ALLOWED


@pytest.mark.parametrize("character", ["a", "'", "\\", "\x00", "\n", "\u2028", "\U0010ffff"])
def test_any_tag_is_refused_in_one_short_printable_sentence(character: str) -> None:
    tagged = PackageDescription(size=PackageSize.SMALL, weight_kg=1, tag=character * 64)
    _, answer = decide_package(None, a_request(package=tagged), NOW)
    assert isinstance(answer, PackageRejected)
    assert answer.description.isprintable()
    assert len(answer.description) <= 150


def test_a_tag_of_usual_letters_is_told_in_full() -> None:
    objection = find_objection(PackageDescription(size=PackageSize.SMALL, weight_kg=1, tag="x" * 64))
    assert objection is not None
    assert f"'{'x' * 64}'" in objection.description


@given(st.builds(PackageDescription))
def test_every_objection_fits_its_message(package: PackageDescription) -> None:
    _, answer = decide_package(None, a_request(package=package), NOW)
    assert isinstance(answer, PackageReady | PackageRejected)


def test_ready_when_nothing_speaks_against_it() -> None:
    request = a_request()
    package, answer = decide_package(None, request, NOW)
    assert package.status is PackageStatus.READY
    assert isinstance(answer, PackageReady)


def test_rejected_at_the_very_moment_of_the_deadline() -> None:
    package, answer = decide_package(None, a_request(deadline=NOW), NOW)
    assert isinstance(answer, PackageRejected)
    assert answer.reason is PackageRejectionReason.REQUEST_EXPIRED
    assert package.status is PackageStatus.REJECTED
    _, answer = decide_package(None, a_request(deadline=NOW + timedelta(microseconds=1)), NOW)
    assert isinstance(answer, PackageReady)


@pytest.mark.parametrize("status", [one for one in PackageStatus if one is not PackageStatus.DESCRIBED])
def test_a_package_is_decided_on_once(status: PackageStatus) -> None:
    assert decide_package(a_package(status), a_request(), NOW) is None


def test_only_a_ready_package_is_said_to_be_withdrawn() -> None:
    said = {}
    for status in PackageStatus:
        decision = decide_withdrawal(a_package(status), a_package().package_id, "alice", NOW)
        said[status] = None if decision is None else decision[1] is not None
    assert said == {
        PackageStatus.DESCRIBED: False,
        PackageStatus.READY: True,
        PackageStatus.REJECTED: None,
        PackageStatus.WITHDRAWN: None,
        PackageStatus.DELIVERED: None,
    }


def test_a_tombstone_when_the_end_overtakes_the_request() -> None:
    request = a_request()
    package, said = decide_withdrawal(None, request.delivery_id, request.owner_id, NOW)
    assert (package.status, said) == (PackageStatus.WITHDRAWN, None)
    assert decide_package(package, request, NOW) is None


@pytest.mark.parametrize("status", PackageStatus)
def test_only_a_ready_package_is_handed_over(status: PackageStatus) -> None:
    handed_over = decide_handover(a_package(status), NOW)
    assert (handed_over is not None) == (status is PackageStatus.READY)


@pytest.mark.parametrize("status", PackageStatus)
def test_descriptions_change_until_a_drone_is_booked_for_them(status: PackageStatus) -> None:
    package = a_package(status)
    heavier = PackageDescription(size=PackageSize.SMALL, weight_kg=1.75, tag="")
    if status is PackageStatus.DESCRIBED:
        assert describe(package, package.package_id, "alice", heavier, NOW).weight_kg == 1.75
    else:
        with pytest.raises(NotChangeable):
            describe(package, package.package_id, "alice", heavier, NOW)
