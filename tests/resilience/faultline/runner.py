"""Runs trials one after the other, on one site for as long as nothing on it is broken."""

import asyncio
import shutil
import traceback
from contextlib import suppress
from pathlib import Path

import msgspec

from faultline import dumps
from faultline.faults import ALONE, FAULTS
from faultline.history import write_trial
from faultline.plan import MIXED, TrialPlan, plan_trial
from faultline.site import Site
from faultline.summary import Summary
from faultline.trial import OUT_OF_REACH, QUIET_LIMIT_S, run_trial

CONTROL = "control"
"""The scenario in which the processes keep no outbox: it has to break something."""
CONTROL_FAULT = "commit-points"
CONTROL_QUIET_S = 10.0
TRIAL_LIMIT_S = 600.0
LEFT_WITHIN_S = 30.0


class Runner:
    """Has a site when it needs one. Ends with `close`."""

    def __init__(self, folder: Path, *, is_long: bool) -> None:
        self.folder = folder
        self._is_long = is_long
        self._site: Site | None = None
        self._sites = 0

    async def run(self, scenario: str, seed: int) -> Summary:
        """Run one trial. Raises nothing but what stops the program: a trial that fails to run is one in the summary."""
        try:
            async with asyncio.timeout(TRIAL_LIMIT_S):
                summary = await (self._control(seed) if scenario == CONTROL else self._trial(scenario, seed))
        except Exception as error:
            (self.folder / f"{scenario}-{seed}.error").write_text(traceback.format_exc())
            await self._keep_what_is_left(self.folder / f"{scenario}-{seed}.left.json")
            summary = Summary(scenario=scenario, seed=seed, error=f"{type(error).__name__}: {error}")
        if not summary.is_good and not summary.skipped:
            # What one trial left must not be held against the next one.
            await self.close()
        return summary

    async def close(self) -> None:
        """Stop the site, if there is one. Its logs stay."""
        site, self._site = self._site, None
        if site is not None:
            await site.stop()

    async def _trial(self, scenario: str, seed: int) -> Summary:
        site = self._site or await self._new_site()
        possible = {name: fault.obstacle(site) for name, fault in FAULTS.items()}
        missing = {name: reason for name in scenario.split("+") if (reason := possible.get(name)) is not None}
        if missing:
            skipped = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
            return Summary(scenario=scenario, seed=seed, skipped=skipped)
        known = tuple(name for name, obstacle in possible.items() if obstacle is None)
        return await self._judged(site, plan_trial(seed, scenario, known=known, alone=ALONE, is_long=self._is_long))

    async def _control(self, seed: int) -> Summary:
        await self.close()
        site = await self._new_site(forgets_outbox=True)
        plan = plan_trial(seed, CONTROL_FAULT, known=tuple(FAULTS), alone=ALONE, is_long=False)
        summary = await self._judged(site, plan, quiet_limit_s=CONTROL_QUIET_S)
        # Its databases lack what was forgotten.
        await self.close()
        return msgspec.structs.replace(summary, scenario=CONTROL)

    async def _judged(self, site: Site, plan: TrialPlan, quiet_limit_s: float = QUIET_LIMIT_S) -> Summary:
        result = await run_trial(site, plan, quiet_limit_s=quiet_limit_s)
        folder = self.folder / plan.name
        write_trial(folder, result.trial)
        summary = Summary.of(plan.scenario, plan.seed, result.trial, result.obstacles, result.duration_s)
        if summary.is_good:
            await asyncio.to_thread(shutil.rmtree, folder)
        return summary

    async def _keep_what_is_left(self, file: Path) -> None:
        """For whoever looks for the cause; what cannot be read any more is not needed to know that the trial failed."""
        if self._site is not None:
            with suppress(*OUT_OF_REACH):
                async with asyncio.timeout(LEFT_WITHIN_S):
                    left = await dumps.everything_left(self._site)
                await asyncio.to_thread(file.write_text, left)

    async def _new_site(self, *, forgets_outbox: bool = False) -> Site:
        self._sites += 1
        folder = self.folder / f"site-{self._sites}"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        site = self._site = Site(folder)
        site.control.create()
        if forgets_outbox:
            site.control.forgets_outbox.touch()
        await site.start()
        return site


def scenarios_of_the_long_run(trials: int, each: int, first_seed: int) -> list[tuple[str, int]]:
    """`each` trials of every fault, then `trials` mixed ones, with their seeds."""
    of_faults = [(name, first_seed + number) for number in range(each) for name in FAULTS]
    return [*of_faults, *((MIXED, first_seed + number) for number in range(trials))]
