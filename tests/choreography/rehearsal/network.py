"""Queues that keep the order of a partition, deliver at least once, and put nothing in order beyond that."""

from dataclasses import dataclass, field

from rehearsal.actor import Sent
from shared_contracts.topology import PARTITIONS, SUBSCRIPTIONS, Subscription
from shared_runtime.partition import partition_of

NOTIFICATIONS = "notifications"
"""Outside the suite: nobody takes its messages."""


@dataclass
class Lane:
    """One partition queue of a subscription."""

    subscription: Subscription
    partition: int
    waiting: list[Sent] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.subscription.queue(self.partition)


class Network:
    """The exchanges and queues of the topology."""

    def __init__(self) -> None:
        self.lanes = {
            lane.name: lane
            for one in SUBSCRIPTIONS
            if one.service != NOTIFICATIONS
            for lane in (Lane(one, partition) for partition in range(one.partitions))
        }
        self.arrived: list[Sent] = []
        """All that was ever published, in order."""

    def publish(self, sent: Sent) -> None:
        """Bring an event to every subscription that wants its type."""
        self.arrived.append(sent)
        self.repeat(sent)

    def repeat(self, sent: Sent) -> None:
        """Publish what has been published already."""
        partition = partition_of(sent.event.envelope.session_id, PARTITIONS)
        for lane in self.lanes.values():
            if (
                lane.partition == partition
                and type(sent.message) in lane.subscription.messages
                and sent.event.exchange == lane.subscription.topic
            ):
                lane.waiting.append(sent)

    @property
    def busy_lanes(self) -> list[str]:
        """The queues in which something waits."""
        return [name for name, lane in self.lanes.items() if lane.waiting]
