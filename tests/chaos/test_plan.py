# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.kinds import KINDS, RESULTS, outcome_of
from tests.chaos.plan import CUSTOMERS, KILLS, OTHER_BLOWS, PAUSE_SECONDS, SLOW_BLOWS, make_plan


def test_a_seed_gives_its_plan_and_another_gives_another() -> None:
    assert make_plan(1, 40, 10) == make_plan(1, 40, 10)
    assert make_plan(1, 40, 10) != make_plan(2, 40, 10)


@pytest.mark.parametrize("seed", range(20))
def test_each_kind_of_kill_and_of_other_blow_is_struck(seed: int) -> None:
    struck = Counter(blow.what for blow in make_plan(seed, 60, 10).blows)
    assert set(struck) == {*KILLS, *OTHER_BLOWS}
    assert sum(struck[kind] for kind in KILLS) == 10


def test_fewer_kills_than_kinds_are_one_of_each_kind() -> None:
    assert sum(blow.what in KILLS for blow in make_plan(1, 60, 1).blows) == len(KILLS)


def test_without_kills_there_are_no_blows() -> None:
    assert make_plan(1, 60, 0).blows == ()


def test_blows_come_in_order_and_before_the_last_jobs() -> None:
    plan = make_plan(1, 60, 40)
    due = [blow.after for blow in plan.blows]
    assert due == sorted(due)
    assert due[0] >= 0
    assert due[-1] < len(plan.jobs)
    assert all(PAUSE_SECONDS[0] <= blow.pause <= PAUSE_SECONDS[1] for blow in plan.blows)
    assert all(0 <= blow.pick < 1 for blow in plan.blows)


def test_each_job_has_its_own_pipeline_which_says_the_result() -> None:
    jobs = make_plan(1, 200, 0).jobs
    assert len({job.name for job in jobs}) == 200
    assert all(outcome_of(job.name) == job.outcome for job in jobs)
    assert {job.customer for job in jobs} == set(range(CUSTOMERS))


def test_the_mix_has_all_kinds_with_a_share_and_no_other() -> None:
    assert {job.kind for job in make_plan(1, 10, 0).jobs} == {k.name for k in KINDS.values() if k.share}


def test_a_run_of_one_kind_has_no_other() -> None:
    assert {job.kind for job in make_plan(1, 50, 0, kinds=["rival"]).jobs} == {"rival"}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("kills", "restarts"), [(11, 0), (12, 1), (60, 5)])
def test_long_faults_come_early_and_with_many_kills_only(seed: int, kills: int, restarts: int) -> None:
    slow = [blow for blow in make_plan(seed, 60, kills).blows if blow.what in SLOW_BLOWS]
    assert [blow.what for blow in slow] == ["rolling restart"] * restarts
    assert all(blow.after <= 20 for blow in slow)


@pytest.mark.parametrize("unknown", ["races", "shared"])
def test_shared_jobs_are_left_if_their_claim_is_unknown(unknown: str) -> None:
    """And are not in the mix, where answers to claims are lost, and so would jobs be."""
    kinds = [kind for kind in KINDS.values() if getattr(kind, unknown)]
    assert {kind.owner for kind in kinds} == {"ThirdParty", "Custom"}
    assert all(kind.unknown_claim == "leave" and not kind.share for kind in kinds)


def test_every_outcome_of_a_kind_has_a_result() -> None:
    assert all(outcome in RESULTS for kind in KINDS.values() for outcome in kind.outcomes)
