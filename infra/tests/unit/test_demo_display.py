import io
from uuid import UUID

from rich.console import Console, RenderableType

from demo.case import Case, Seen, ToldChange, ToldStatus
from demo.display import (
    announcement,
    ending_table,
    progress_line,
    progress_table,
    show_outcome,
    times_line,
    verdict_table,
)
from demo.evidence import Evidence
from demo.invariants import judge
from demo.kinds import Kind
from demo.progress import Progress
from demo.run import Conduct, Outcome
from demo.scenario import plan_requests
from fleet_simulator.geography import DEFAULT_AREA
from shared_contracts.delivery.v1 import RefusalReason
from shared_contracts.domain_types import DeliveryStage


def rendered(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def told(stage: DeliveryStage, cancellation: ToldChange | None = None) -> ToldStatus:
    return ToldStatus(
        delivery_id=UUID(int=1),
        stage=stage,
        is_ended=stage.is_terminal,
        reason=None,
        cancellation=cancellation,
        reschedule=None,
    )


def cases() -> list[Case]:
    """Forty requests: one refused, one completed, one on the way, one cancelled too late, the others not sent yet."""
    planned = [Case(request) for request in plan_requests(1, 40, DEFAULT_AREA)]
    by_kind = {case.kind: case for case in planned}
    by_kind[Kind.EXPIRED].refusal = "422 invalid-request"
    too_late = ToldChange(state="Refused", refusal_reason=RefusalReason.PACKAGE_ON_BOARD)
    for kind, status in (
        (Kind.WRONGLY_CONFIRMED, told(DeliveryStage.COMPLETED)),
        (Kind.BY_VOICE, told(DeliveryStage.HEADED_TO_PICKUP)),
        (Kind.CANCELLED_TOO_LATE, told(DeliveryStage.COMPLETED, too_late)),
    ):
        by_kind[kind].delivery_id = UUID(int=1)
        by_kind[kind].status = status
    by_kind[Kind.WRONGLY_CONFIRMED].seen.add(Seen.WRONG_CONFIRMATION_REFUSED)
    return planned


def row_of(text: str, kind: Kind) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(kind.value)).removeprefix(kind.value).split()


def test_progress_is_told_in_one_line() -> None:
    progress = Progress(cases=cases(), phase="flying", drones=60, drones_under_way=12, reports_sent=345)
    assert progress_line(progress, 3.21) == (
        "  3.2 s  flying: 4 of 40 sent, 3 ended; 12 of 60 drones under way, 345 reports; 1 to pickup, 2 completed"
    )


def test_outages_are_told_when_there_were_some() -> None:
    assert progress_line(Progress(outages=2), 0).endswith("2 retries after an outage")


def test_progress_table_has_a_row_for_each_kind() -> None:
    text = rendered(progress_table(Progress(cases=cases())))
    assert row_of(text, Kind.BY_VOICE) == ["1", "1"]
    assert all(kind.value in text for kind in Kind)


def test_endings_are_told_by_kind() -> None:
    text = rendered(ending_table(cases()))
    assert "1 Completed; 1 cancellation refused (package_on_board)" in text
    assert "1 Completed; 1 the wrong confirmation was refused" in text
    assert row_of(text, Kind.EXPIRED)[-3:] == ["1", "of", "1"]
    assert row_of(text, Kind.TOO_FAR)[-3:] == ["0", "of", "1"]


def test_verdicts_say_what_has_to_be_true() -> None:
    text = rendered(verdict_table(judge(Evidence(outbox={"ingestion": 1}))))
    assert "FAILED (1)" in text
    assert "No drone is booked or in flight any more." in text


def test_what_went_wrong_is_shown() -> None:
    console = Console(file=io.StringIO(), width=160)
    outcome = Outcome(cases(), judge(Evidence(outbox={"ingestion": 1})), Progress())
    show_outcome(console, outcome)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "outboxes are empty: ingestion has 1" in text
    assert f"unexpected: {Kind.TOO_FAR}" in text
    assert not outcome.is_good


def test_times_are_summed_up() -> None:
    assert times_line({"starting": 10.04, "flying": 20.0}) == "starting 10.0 s, flying 20.0 s; 30.0 s altogether"


def test_who_flies_faster_is_told_what_that_means_for_the_times() -> None:
    faster = announcement(200, Conduct(drones=60, speed_factor=60.0))
    assert "60 drones fly at 60 times their speed" in faster
    assert "ETAs that they tell are those of drones at real speed" in faster
    assert "ETA" not in announcement(200, Conduct(speed_factor=1.0))
