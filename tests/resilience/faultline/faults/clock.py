"""Clocks that are wrong."""

from faultline.control import FailPoint
from faultline.faults.kill import CommitPoints
from faultline.site import FLOW, PROCESSES

MIN_SKEW_S, MAX_SKEW_S = 20.0, 300.0


class ClockSkew(CommitPoints):
    """The clocks of the processes are minutes apart, jump there and back, and one process dies meanwhile.

    It dies with its messages unpublished, so that somebody with another clock has to find them.
    """

    name = "clock-skew"
    hold_s = 3.0

    def rounds(self) -> list[dict[FailPoint, tuple[str, ...]]]:
        return [{FailPoint.COMMIT_TO_PUBLISH: (self.random.choice(FLOW),)}]

    async def inject(self) -> None:
        self._sizes = {process: self.site.control.journal(process).stat().st_size for process in PROCESSES}
        self._skews_s = {
            process: self.random.choice((-1, 1)) * self.random.uniform(MIN_SKEW_S, MAX_SKEW_S) for process in PROCESSES
        }
        for process, skew_s in self._skews_s.items():
            self.site.control.skew(process, skew_s)
        await super().inject()

    async def heal(self) -> None:
        for process in PROCESSES:
            if self._has_looked(process):
                self.seen.append(f"{process} {self._skews_s[process]:+.0f} s")
            self.site.control.skew(process, 0.0)
        await super().heal()

    def _has_looked(self, process: str) -> bool:
        """Whether the process has looked at its clock meanwhile: it notes what it saw."""
        return b'"skewed"' in self.site.control.journal(process).read_bytes()[self._sizes[process] :]
