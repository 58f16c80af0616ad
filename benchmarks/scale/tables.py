# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/scale.md: what is simulated for each, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from benchmarks.scale.settings import Settings
from benchmarks.scale.simulation import Outcome, simulate

#: What a table shows of an outcome: heading → the text.
Columns = Mapping[str, Callable[[Settings, Outcome], str]]


def span(seconds: float) -> str:
    """Return a time as a person says it: seconds up to 5 minutes, then minutes."""
    return f"{seconds:.0f} s" if seconds < 300 else f"{seconds / 60:.0f} min"


def quantiles(values: Sequence[float]) -> str:
    """Return the median, the 95th percentile and the greatest of values that are in order."""
    if not values:
        return "–"
    places = (len(values) // 2, min(len(values) - 1, int(0.95 * len(values))), len(values) - 1)
    return " / ".join(span(values[place]) for place in places)


def _a_second(calls: float) -> str:
    return f"{calls:.1f}" if calls >= 0.95 else f"{calls:.2f}"


def _calls(settings: Settings, outcome: Outcome) -> str:
    mean = sum(outcome.calls.values()) / max(outcome.seconds, 1)
    return f"{_a_second(mean)} ({outcome.most_calls})"


def _refused(settings: Settings, outcome: Outcome) -> str:
    return f"{sum(outcome.refused.values()) / max(sum(outcome.calls.values()), 1):.0%}"


CLAIMED: Columns = {"claimed after": lambda settings, outcome: quantiles(outcome.claimed)}
DONE: Columns = {"done after": lambda settings, outcome: quantiles(outcome.done)}
OTHERS: Columns = {"the others are done after": lambda settings, outcome: quantiles(outcome.done_of_others)}
TIMED_OUT: Columns = {"timed out": lambda settings, outcome: f"{outcome.timed_out:,} of {outcome.jobs:,}"}
LATE: Columns = {"late claims": lambda settings, outcome: f"{outcome.late_claims:,}"}
CALLS: Columns = {"calls a second (most)": _calls}
REFUSED: Columns = {"throttled": _refused}
SLOTS: Columns = {
    "slots, mean (most)": lambda _, outcome: f"{outcome.slots:,.0f} ({outcome.most['slots']:,})"
}
RUNS: Columns = {"runs at once": lambda _, outcome: f"{outcome.most['runs']:,}"}
TASKS: Columns = {"tasks": lambda settings, outcome: f"{sum(outcome.tasks.values()):,}"}
BOTTLENECK: Columns = {"most time is spent on": lambda settings, outcome: outcome.bottleneck}
EVERYTHING: Columns = {
    **CLAIMED, **DONE, **TIMED_OUT, **LATE, **CALLS, **REFUSED, **RUNS, **SLOTS, **TASKS, **BOTTLENECK
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """
    A table, with a row for each simulation.

    :param first: The heading of the first column.
    :param rows: Row → what is simulated.
    :param columns: What is shown of each.
    :param settings: Settings that are shown before that, by their names. If there are any, the simulations
        are the columns.
    """

    first: str
    rows: Mapping[str, Settings]
    columns: Columns
    settings: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """Simulate, and return the table."""
        found = [(label, settings, _outcome(settings)) for label, settings in self.rows.items()]
        if not self.settings:
            lines = [
                [label, *(show(settings, outcome) for show in self.columns.values())]
                for label, settings, outcome in found
            ]
            return _markdown([self.first, *self.columns], lines)
        lines = [
            [f"`{name}`", *(_setting(settings, name) for _, settings, _ in found)] for name in self.settings
        ]
        lines += [
            [f"→ {heading}", *(show(settings, outcome) for _, settings, outcome in found)]
            for heading, show in self.columns.items()
        ]
        return _markdown([self.first, *(label for label, _, _ in found)], lines)


@cache
def _outcome(settings: Settings) -> Outcome:
    return simulate(settings)


def _setting(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return value if isinstance(value, str) else f"{value:,g}"


def _markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    rows = [list(head), *map(list, lines)]
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


#: The recommended settings for each size.
TEN = Settings(jobs_per_hour=10, hours=24)
THOUSAND = Settings(
    jobs_per_hour=1000, poll_interval=10, max_active_runs=64, parallelism=64, slots=64, cores=4
)
HUNDRED_THOUSAND = Settings(
    jobs_per_hour=100_000,
    poll_interval=5,
    max_batch_size=100,
    shape="mapped-function",
    max_active_runs=256,
    max_active_tasks=1000,
    schedulers=6,
    parallelism=400,
    slots=2400,
    cores=32,
)
#: Ten times the middle size, on which shapes differ.
TEN_THOUSAND = replace(
    THOUSAND,
    jobs_per_hour=10_000,
    max_batch_size=100,
    max_active_runs=400,
    max_active_tasks=400,
    parallelism=320,
    schedulers=2,
    slots=640,
    cores=16,
)
#: All at once, and enough places to work on 500 jobs at a time.
BURST = Settings(
    jobs_per_hour=0,
    burst=10_000,
    poll_interval=10,
    max_batch_size=100,
    max_active_runs=1000,
    max_active_tasks=100,
    schedulers=2,
    parallelism=256,
    slots=512,
    cores=16,
)
CROWD = replace(
    THOUSAND, jobs_per_hour=0, burst=1000, owner="ThirdParty", max_active_runs=1000, parallelism=32, slots=32
)
WITH_SLOW_CUSTOMER = replace(THOUSAND, slow_share=0.2)

TABLES: dict[str, Table] = {
    "sizes": Table(
        "jobs an hour",
        {"10": TEN, "1,000": THOUSAND, "100,000": HUNDRED_THOUSAND},
        {**CLAIMED, **DONE, **TIMED_OUT, **CALLS, **RUNS, **SLOTS, **BOTTLENECK},
        (
            "shape",
            "poll_interval",
            "max_batch_size",
            "max_active_runs",
            "max_active_tasks",
            "schedulers",
            "parallelism",
            "slots",
            "cores",
        ),
    ),
    "runs": Table(
        "`max_active_runs`, 1,000 jobs an hour",
        {
            "16, custom action": replace(THOUSAND, max_active_runs=16),
            "24, custom action": replace(THOUSAND, max_active_runs=24),
            "64, custom action": THOUSAND,
            "16, partner's action": replace(THOUSAND, max_active_runs=16, owner="ThirdParty"),
        },
        {**CLAIMED, **DONE, **LATE, **BOTTLENECK},
    ),
    "shapes": Table(
        "shape, 10,000 jobs an hour",
        {
            "`run`, 2 schedulers": replace(TEN_THOUSAND, shape="run"),
            "`run`, 4 schedulers": replace(TEN_THOUSAND, shape="run", schedulers=4),
            "`function`": replace(TEN_THOUSAND, shape="function"),
            "`function-alone`": replace(TEN_THOUSAND, shape="function-alone"),
            "`group`, 2 schedulers": replace(TEN_THOUSAND, shape="group"),
            "`mapped-function`": replace(TEN_THOUSAND, shape="mapped-function"),
        },
        {**TASKS, **CLAIMED, **DONE, **TIMED_OUT, **BOTTLENECK},
    ),
    "interval": Table(
        "`poll_interval`, 1,000 jobs an hour",
        {
            f"{seconds} s": replace(THOUSAND, poll_interval=seconds) for seconds in (5, 10, 30, 300)
        },
        {**CLAIMED, **CALLS},
    ),
    "throttling": Table(
        "CodePipeline takes, of 1,000 jobs an hour",
        {
            "any number of calls": THOUSAND,
            "2 calls a second": replace(THOUSAND, calls_per_second=2),
            "1 call a second": replace(THOUSAND, calls_per_second=1),
            "0.8 calls a second": replace(THOUSAND, calls_per_second=0.8),
            "0.6 calls a second": replace(THOUSAND, calls_per_second=0.6),
        },
        {**CLAIMED, **DONE, **TIMED_OUT, **REFUSED, **LATE},
    ),
    "triggerer": Table(
        "nobody polls, 1,000 jobs an hour",
        {
            "never": THOUSAND,
            "for 1 min": replace(THOUSAND, away_from=1200, away=60),
            "for 10 min": replace(THOUSAND, away_from=1200, away=600),
        },
        {**CLAIMED, **DONE, **TIMED_OUT, **LATE},
    ),
    "burst": Table(
        "10,000 jobs at once",
        {
            "a partner's, asset, `run`": replace(BURST, owner="ThirdParty"),
            "a partner's, asset, `function-alone`": replace(
                BURST, owner="ThirdParty", shape="function-alone"
            ),
            "custom, asset, `run`": BURST,
            "custom, asset, `mapped-function`": replace(BURST, shape="mapped-function"),
            "custom, sensor, `mapped-function`, 16 runs": replace(
                BURST, shape="mapped-function", intake="sensor", sensor_schedule=20, max_active_runs=16
            ),
        },
        {**CLAIMED, **DONE, **TIMED_OUT, **LATE},
    ),
    "priorities": Table(
        "1,000 partner's jobs at once, 32 slots",
        {
            "ours": CROWD,
            "Airflow's default": replace(CROWD, priorities="airflow"),
            "ours, a pool of 4 for claims": replace(CROWD, claim_pool=4),
        },
        {**CLAIMED, **DONE, **TIMED_OUT},
    ),
    "slow": Table(
        "1,000 jobs an hour",
        {
            "all alike": THOUSAND,
            "one of five takes 30 min": WITH_SLOW_CUSTOMER,
            "the same, `max_active_runs` 1,000": replace(WITH_SLOW_CUSTOMER, max_active_runs=1000),
            "the same, and a pool of 32 for them": replace(
                WITH_SLOW_CUSTOMER, max_active_runs=1000, slow_pool=32
            ),
            "`max_active_runs`, slots and `parallelism` 192": replace(
                WITH_SLOW_CUSTOMER, max_active_runs=192, slots=192, parallelism=192
            ),
        },
        {**CLAIMED, **OTHERS, **TIMED_OUT, **LATE},
    ),
    "kubernetes": Table(
        "1,000 jobs an hour, a pod in 20 s",
        {
            "`run`, a pod for each task": replace(THOUSAND, pod_seconds=20, cores=64),
            "`function`, a pod for each task": replace(THOUSAND, pod_seconds=20, cores=64, shape="function"),
            "`function-alone`, a pod for each task": replace(
                THOUSAND, pod_seconds=20, cores=64, shape="function-alone"
            ),
            "`run`, one pod for each loop of 1 s": replace(
                THOUSAND, pod_seconds=20, cores=64, scheduler_seconds=1
            ),
            "`run` on Celery": THOUSAND,
        },
        {**CLAIMED, **DONE, **LATE, **SLOTS},
    ),
}  # fmt: skip
