"""Everything that can happen, as rules: Hypothesis chooses what happens next, and tells the shortest bad story."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rehearsal.promises import Promises
from rehearsal.world import DELIVERIES, DRONES, How, World
from shared_contracts.domain_types import ConfirmationType
from shared_contracts.fleet.v1 import DroneActivity

BEGINNINGS = ["requested", "booked", "headed to the pickup", "headed to the drop-off", "at the drop-off"]
CANCELLED = "requested, and cancelled at once"
MAX_STEPS = 40
STEP_COUNT = MAX_STEPS + 1
"""For Hypothesis, which counts the beginning as a step."""


def known(choices: Callable[["Choreography"], list[Any]]) -> st.SearchStrategy[Any]:
    """One of what there is at the moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choices(machine)))


deliveries = known(lambda machine: machine.world.accepted)
drones = known(lambda machine: machine.drones)
lanes = known(lambda machine: machine.world.network.busy_lanes)
mostly_well = st.sampled_from([How.WELL.value] * 4 + [one.value for one in How if one is not How.WELL])
mostly_committed = st.sampled_from(
    [How.WELL.value] * 3 + [How.CRASH_AFTER_COMMIT.value, How.PARTNER_GOES_ON.value, How.CRASH_AFTER_PUBLISHING.value]
)
lengths = st.one_of(st.integers(1, 15), *[st.just(MAX_STEPS)] * 3)
"""Most histories are as long as they may be; the shortest that shows the same is the one that is told."""
beginnings = st.sampled_from(["requested", "requested", CANCELLED, *BEGINNINGS])
confirmations = st.sampled_from([ConfirmationType.NONE.value, ConfirmationType.PICTURE.value])
periods = st.sampled_from(["2 seconds", "1 minute", "10 minutes", "1 hour", "until something is due"])
clocks = st.sampled_from([(0, 0, 0, 0), (1, -1, 2, 0), (0, 40, -40, 0), (-40, 0, 0, 40), (0, 0, 3, -90)])
activities = st.sampled_from([one.value for one in DroneActivity])


def step(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule after which the promises are checked. As invariants they would fill the story with lines of no news.

    The end is part of a step as well: what is found at the teardown does not shrink to fewer steps.
    """

    def register(happen: Callable[..., None]) -> Any:
        @wraps(happen)
        def happen_and_check(machine: "Choreography", **given: Any) -> None:
            if not machine.is_over:
                machine.tell()
                happen(machine, **given)
                machine.promises.check_always()
                machine.count_step()

        return rule(**arguments)(happen_and_check)

    return register


def has_deliveries(machine: "Choreography") -> bool:
    return bool(machine.world.accepted)


class Choreography(RuleBasedStateMachine):
    """A customer's side, a fleet's side, and the machinery between them."""

    world: World
    promises: Promises
    drones: list[str]
    steps_left: int
    is_over: bool
    lines: list[str]
    """What the last step led to. Hypothesis tells of a step when it is over, so this is told before the next one."""
    seen: ClassVar[Counter[object]] = Counter()
    """In how many histories each handler and loader took part, and how often each message was sent."""

    @initialize(
        drones=st.integers(1, 2),
        clocks_ahead_s=clocks,
        beginnings=st.lists(beginnings, min_size=1, max_size=2),
        confirmation=confirmations,
        steps=lengths,
    )
    def so_far(
        self,
        drones: int,
        clocks_ahead_s: tuple[int, int, int, int],
        beginnings: list[str],
        confirmation: str,
        steps: int,
    ) -> None:
        """Histories begin at different points, or few would come far enough for something to go wrong late."""
        self.steps_left = steps
        self.is_over = False
        self.lines = []
        self.world = World(drones=drones, clocks_ahead_s=clocks_ahead_s, tell=self.lines.append)
        self.promises = Promises(self.world)
        self.drones = list(DRONES)[:drones]
        for beginning in beginnings:
            self._begin(beginning, ConfirmationType(confirmation))

    def _begin(self, beginning: str, confirmation: ConfirmationType) -> None:
        delivery = self.world.request(confirmation=confirmation)
        assert delivery is not None
        if beginning == "requested":
            return
        if beginning == CANCELLED:
            self.world.cancel(delivery)
            return
        self.world.settle()
        for _ in range(BEGINNINGS.index(beginning) - 1):
            self.world.fly_on(delivery)
            self.world.settle()

    @precondition(lambda self: len(self.world.accepted) < len(DELIVERIES))
    @step(
        package=st.sampled_from(
            ["light", "light", "light", "heavy", "too heavy for its size", "too heavy for any drone"]
        ),
        minutes=st.sampled_from([60, 10, 1]),
        expedited=st.booleans(),
        confirmation=confirmations,
        how=mostly_committed,
        answer_is_lost=st.booleans(),
    )
    def customer_requests(
        self, package: str, minutes: int, expedited: bool, confirmation: str, how: str, answer_is_lost: bool
    ) -> None:
        self.world.request(
            package,
            minutes=minutes,
            expedited=expedited,
            confirmation=ConfirmationType(confirmation),
            how=How(how),
            answer_is_lost=answer_is_lost,
        )

    @precondition(has_deliveries)
    @step(delivery=deliveries, how=mostly_committed)
    def customer_cancels(self, delivery: str, how: str) -> None:
        self.world.cancel(delivery, How(how))

    @precondition(has_deliveries)
    @step(delivery=deliveries, minutes=st.sampled_from([90, 30, 6]), how=mostly_committed)
    def customer_reschedules(self, delivery: str, minutes: int, how: str) -> None:
        self.world.reschedule(delivery, minutes=minutes, how=How(how))

    @precondition(has_deliveries)
    @step(delivery=deliveries)
    def customer_asks_to_be_notified(self, delivery: str) -> None:
        self.world.ask_to_be_notified(delivery)

    @precondition(has_deliveries)
    @step(delivery=deliveries, how=mostly_committed)
    def recipient_confirms(self, delivery: str, how: str) -> None:
        self.world.confirm(delivery, how=How(how))

    @step(delivery=st.sampled_from(list(DELIVERIES)))
    def owner_describes_package(self, delivery: str) -> None:
        self.world.describe_package(delivery)

    @step(
        drone=drones,
        activity=activities,
        delivery=known(lambda machine: [*machine.world.accepted, None]),
        battery_percent=st.sampled_from([90.0, 15.0]),
        seconds_ago=st.sampled_from([0, 0, 0, 90]),
        over_http=st.booleans(),
    )
    def drone_reports(
        self,
        drone: str,
        activity: str,
        delivery: str | None,
        battery_percent: float,
        seconds_ago: int,
        over_http: bool,
    ) -> None:
        self.world.report(
            drone,
            DroneActivity(activity),
            delivery,
            battery_percent=battery_percent,
            seconds_ago=seconds_ago,
            over_http=over_http,
        )

    @precondition(has_deliveries)
    @step(delivery=deliveries)
    def drone_flies_on(self, delivery: str) -> None:
        self.world.fly_on(delivery)

    @step(drone=drones, how=mostly_committed)
    def staff_grounds(self, drone: str, how: str) -> None:
        self.world.ground(drone, How(how))

    @step(drone=drones, how=mostly_committed)
    def staff_ungrounds(self, drone: str, how: str) -> None:
        self.world.unground(drone, How(how))

    @precondition(lambda self: self.world.network.busy_lanes)
    @step(lane=lanes, events=st.sampled_from([1, 2, 5]), how=mostly_well)
    def network_delivers(self, lane: str, events: int, how: str) -> None:
        self.world.deliver(lane, events, How(how))

    @precondition(lambda self: self.world.network.busy_lanes)
    @step()
    def network_settles(self) -> None:
        self.world.settle()
        self.promises.check_at_rest()

    @precondition(lambda self: self.world.network.busy_lanes)
    @step(lane=lanes)
    def network_settles_but_for(self, lane: str) -> None:
        """One queue is slow."""
        self.world.settle(but=lane)

    @precondition(lambda self: self.world.network.arrived)
    @step(number=known(lambda machine: list(range(len(machine.world.network.arrived)))))
    def network_duplicates(self, number: int) -> None:
        self.world.send_again(number)

    @precondition(lambda self: any(self.world.left.values()))
    @step(service=known(lambda machine: [name for name, left in machine.world.left.items() if left]))
    def service_sends_what_was_left(self, service: str) -> None:
        self.world.send_what_is_left(service)

    @step(period=periods)
    def time_passes(self, period: str) -> None:
        self.world.pass_time(self._length_of(period))

    @precondition(lambda self: self._services_with_overdue_rows())
    @step(service=known(lambda machine: machine._services_with_overdue_rows()), how=mostly_well)
    def service_keeps_its_deadlines(self, service: str, how: str) -> None:
        self.world.keep_deadlines(service, How(how))

    @step(service=st.sampled_from(["drone-scheduler", "ingestion"]), how=mostly_well)
    def service_ticks(self, service: str, how: str) -> None:
        self.world.tick(service, How(how))

    def tell(self) -> None:
        """Add to the story what the last step led to."""
        for line in self.lines:
            note(line)
        self.lines.clear()

    def teardown(self) -> None:
        # Called also when a promise was broken: then the last step is to be told yet.
        if hasattr(self, "world"):
            self.tell()

    def count_step(self) -> None:
        self.steps_left -= 1
        self.is_over = self.steps_left == 0
        if self.is_over:
            self._end()

    def _end(self) -> None:
        self.lines.append("in the end, with all services well:")
        self.world.come_to_an_end()
        self.promises.check_in_the_end()
        for actor in self.world.services.values():
            self.seen.update(actor.handlers_run)
            self.seen.update(actor.loaders_run)
        self.seen.update(type(one.message) for one in self.world.sent)

    def _services_with_overdue_rows(self) -> list[str]:
        return [name for name, actor in self.world.services.items() if actor.overdue(self.world.now)]

    def _length_of(self, period: str) -> timedelta:
        if period != "until something is due":
            number, unit = period.split()
            return timedelta(**{unit.rstrip("s") + "s": int(number)})
        due = [moment for one in self.world.services.values() if (moment := one.next_due()) is not None]
        return max(timedelta(0), min(due, default=self.world.now) - self.world.now)
