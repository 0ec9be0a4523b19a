"""The faults, by name, in the order in which the smoke runs them."""

from faultline.faults.clock import ClockSkew
from faultline.faults.fault import Fault
from faultline.faults.kill import CommitPoints, KillBoth, KillServers, KillServices, RollingRestart, TakeOver
from faultline.faults.messages import DeletedQueue, Duplicates
from faultline.faults.network import Churn, Delay, HalfClose, LostCommits, Partition, Reset
from faultline.faults.pause import Pause
from faultline.faults.poison import BrokenHandler, Poison
from faultline.faults.resources import DiskFull, MemoryAlarm

__all__ = ["ALONE", "FAULTS", "Fault"]

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (
        KillServices,
        KillServers,
        KillBoth,
        CommitPoints,
        TakeOver,
        RollingRestart,
        Pause,
        Delay,
        Reset,
        HalfClose,
        LostCommits,
        Partition,
        Churn,
        Duplicates,
        Poison,
        BrokenHandler,
        DeletedQueue,
        ClockSkew,
        DiskFull,
        MemoryAlarm,
    )
}

ALONE = frozenset({Duplicates.name, Poison.name, BrokenHandler.name, DeletedQueue.name})
"""Faults that need the broker as it is: the test's own part in them would break with it, and prove nothing."""
