# SPDX-License-Identifier: Apache-2.0
"""
The kinds of jobs in the mix, and what their work comes to.

Read by the plan and by the DAG files, and so without Airflow. A new kind is one row here, and a DAG of its
:attr:`Kind.dag_id` in ``tests/chaos/dags``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

#: Which outcomes may end in which result, if nobody interferes.
RESULTS = {
    "succeed": "success",
    # Long enough to be hit.
    "linger": "success",
    # Fails in its first try, and is retried.
    "stumble": "success",
    "fail": "failure",
    # Does not end before the run's time limit.
    "hang": "failure",
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """
    One way for a DAG to take and finish jobs.

    :param name: Letters and ``_``; names the DAG and the provider of the action type.
    :param outcomes: What the work may come to, a key of :data:`RESULTS`, with its share.
    :param way: How its DAG works: with tasks between a claim and ``finish_job``; so, but going on in a new
        job before the work (``go_on``) or while it waits for it (``watch``); or as one function.
    :param share: Of the jobs of the mix; 0 for kinds that are not in it.
    :param races: Whether its jobs are those for which a second worker races.
    :param shared: Whether its jobs are those for which a second Airflow polls too.
    :param unknown_claim: What an unknown claim counts as.
    :param time_limit: ``dagrun_timeout`` in seconds, or None.
    :param owner: Of the action type.
    """

    name: str
    outcomes: Mapping[str, int]
    way: Literal["tasks", "go_on", "watch", "function"] = "tasks"
    share: int = 0
    races: bool = False
    shared: bool = False
    unknown_claim: Literal["assume_ours", "leave"] = "assume_ours"
    time_limit: float | None = None
    owner: Literal["ThirdParty", "Custom"] = "ThirdParty"

    @property
    def dag_id(self) -> str:
        """The DAG that claims, works on and finishes one job."""
        return f"chaos_{self.name}"

    @property
    def watch_dag_id(self) -> str:
        """The DAG that starts a run of it for each job."""
        return f"chaos_watch_{self.name}"

    @property
    def action_type(self) -> dict[str, str]:
        """The action type whose jobs are taken."""
        return {"category": "Test", "owner": self.owner, "provider": self.name, "version": "1"}


#: All kinds, by name.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("one_run", share=8, outcomes={"succeed": 4, "linger": 3, "stumble": 1, "fail": 2}),
        Kind("goes_on", way="go_on", share=2, outcomes={"succeed": 3, "linger": 2, "fail": 1}),
        Kind("goes_on_limited", way="go_on", share=1, outcomes={"succeed": 1, "hang": 1}, time_limit=60),
        Kind("watched", way="watch", share=2, outcomes={"succeed": 1, "linger": 3, "fail": 1}),
        Kind(
            "function", way="function", share=3, outcomes={"succeed": 3, "linger": 2, "stumble": 1, "fail": 1}
        ),
        Kind(
            "custom",
            way="go_on",
            share=2,
            outcomes={"succeed": 3, "linger": 2, "fail": 1},
            owner="Custom",
        ),
        Kind("time_limit", share=1, outcomes={"succeed": 1, "hang": 2}, time_limit=60),
        Kind("rival", races=True, outcomes={"succeed": 3, "linger": 1, "fail": 1}, unknown_claim="leave"),
        Kind(
            "custom_rival",
            races=True,
            outcomes={"succeed": 3, "linger": 1, "fail": 1},
            unknown_claim="leave",
            owner="Custom",
        ),
        # Going on, so that each Airflow is offered jobs that a run of the other waits for.
        Kind(
            "shared",
            way="go_on",
            shared=True,
            outcomes={"succeed": 3, "linger": 1, "fail": 1},
            unknown_claim="leave",
        ),
        Kind(
            "custom_shared",
            way="go_on",
            shared=True,
            outcomes={"succeed": 3, "linger": 1, "fail": 1},
            unknown_claim="leave",
            owner="Custom",
        ),
    )
}


def pipeline_name(kind: str, outcome: str, number: int) -> str:
    """Return the name of the pipeline of one job, by which its work knows what to come to."""
    return f"{kind}-{outcome}-{number}"


def outcome_of(name: str) -> str:
    """Return what the work of a pipeline's job is to come to."""
    return name.split("-")[1]
