# SPDX-License-Identifier: Apache-2.0
"""What is to happen, all of it drawn from one seed: the jobs, what their work comes to, and every blow."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.kinds import KINDS, pipeline_name

#: What is killed, as the figures name it, with its share.
KILLS = {
    "task process": 4,
    "celery worker": 2,
    "triggerer": 2,
    "scheduler": 2,
    "api-server": 1,
    "dag-processor": 1,
}
#: What else happens during a run, with the number of kills for each of it.
OTHER_BLOWS = {
    "rotate token": 5,
    "mark task failed": 8,
    "mark run failed": 8,
    "clear task": 6,
    "cut database": 8,
    "cut queue": 8,
}
#: The same for what takes minutes: with fewer kills there is none. It comes in the first third of the jobs.
SLOW_BLOWS = {"rolling restart": 12}
CUSTOMERS = 4
#: Seconds until what was killed is started again, or a customer's new token is known to Airflow.
PAUSE_SECONDS = (1.0, 8.0)
# Jobs that are still to end after the last blow.
_LEFT_AT_THE_END = 5


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """
    One job of one customer.

    :param name: Of its pipeline, which is its alone.
    :param kind: A key of :data:`tests.chaos.kinds.KINDS`.
    :param outcome: A key of :data:`tests.chaos.kinds.RESULTS`.
    :param customer: A number, from 0.
    """

    name: str
    kind: str
    outcome: str
    customer: int


@dataclasses.dataclass(frozen=True)
class Blow:
    """
    Something bad.

    :param what: A key of :data:`KILLS`, :data:`OTHER_BLOWS` or :data:`SLOW_BLOWS`.
    :param after: How many jobs have ended when it is due.
    :param pick: Which of those that can be hit, 0 to 1.
    :param pause: Seconds until it is mended.
    """

    what: str
    after: int
    pick: float
    pause: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """
    All that is to happen.

    :param jobs: In the order in which they are started.
    :param blows: In the order in which they are due.
    """

    jobs: tuple[PlannedJob, ...]
    blows: tuple[Blow, ...] = ()


def make_plan(seed: int, jobs: int, kills: int, *, kinds: Sequence[str] = ()) -> Plan:
    """
    Draw a plan; the same arguments give the same plan.

    :param seed: Any whole number.
    :param jobs: How many.
    :param kills: How many; one of each kind at least, unless there are none.
    :param kinds: The only kinds of jobs, each as likely as the others. Defaults to the mix.
    """
    chance = random.Random(f"{seed}/{'+'.join(kinds)}")  # noqa: S311 - repeatable, no secret
    mix = {each.name: each.share for each in KINDS.values() if each.share}
    shares = dict.fromkeys(kinds, 1) or mix
    planned = []
    for number, name in enumerate(_mixed(chance, shares, jobs), start=1):
        outcome = _drawn(chance, KINDS[name].outcomes)
        customer = chance.randrange(CUSTOMERS)
        planned.append(PlannedJob(pipeline_name(name, outcome, number), name, outcome, customer))
    blows = _mixed(chance, KILLS, max(kills, len(KILLS)) if kills else 0)
    for what, every in OTHER_BLOWS.items():
        blows += [what] * (max(1, kills // every) if kills else 0)
    last = max(0, jobs - _LEFT_AT_THE_END)
    due = [(what, last) for what in blows]
    due += [(what, jobs // 3) for what, every in SLOW_BLOWS.items() for _ in range(kills // every)]
    drawn = [
        Blow(what, chance.randint(0, latest), chance.random(), chance.uniform(*PAUSE_SECONDS))
        for what, latest in due
    ]
    return Plan(tuple(planned), tuple(sorted(drawn, key=lambda blow: blow.after)))


def _mixed(chance: random.Random, shares: Mapping[str, int], count: int) -> list[str]:
    """Return so many names, one of each at least where there is room."""
    names = list(shares)[:count]
    names += [_drawn(chance, shares) for _ in range(count - len(names))]
    chance.shuffle(names)
    return names


def _drawn(chance: random.Random, shares: Mapping[str, int]) -> str:
    names: Iterable[str] = shares.keys()
    return chance.choices(list(names), list(shares.values()))[0]
