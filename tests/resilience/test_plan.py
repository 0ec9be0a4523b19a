"""A seed stands for one trial, and different seeds for different ones."""

import pytest
from faultline.faults import ALONE, FAULTS
from faultline.plan import MIXED, plan_trial

KNOWN = tuple(FAULTS)


@pytest.mark.parametrize("scenario", [MIXED, "pause", "network-delay+network-reset"])
def test_the_same_seed_plans_the_same_trial(scenario: str) -> None:
    one, other = (plan_trial(17, scenario, known=KNOWN, alone=ALONE, is_long=True) for _ in range(2))
    assert one == other
    assert one.load.planned() == other.load.planned()
    assert one.random_for("pause").random() == other.random_for("pause").random()


def test_seeds_differ() -> None:
    plans = [plan_trial(seed, MIXED, known=KNOWN, alone=ALONE, is_long=True) for seed in range(30)]
    assert len({plan.faults for plan in plans}) > 20
    assert len({plan.begin_s for plan in plans}) == 30


def test_thirty_mixed_trials_have_every_fault_that_mixes() -> None:
    plans = [plan_trial(seed, MIXED, known=KNOWN, alone=ALONE, is_long=True) for seed in range(1, 31)]
    assert {fault for plan in plans for fault in plan.faults} == set(FAULTS) - ALONE


def test_a_joined_scenario_has_its_faults_in_order() -> None:
    plan = plan_trial(1, "pause+kill-services", known=KNOWN, alone=ALONE, is_long=False)
    assert plan.faults == ("pause", "kill-services")
    assert len(plan.pauses_s) == 1
