# SPDX-License-Identifier: Apache-2.0
"""Histories in which given misfortunes happen at given steps."""

from __future__ import annotations

from simulation.history import History
from simulation.plan import PLANS, all_ways
from simulation.verdict import judge

FAILURE = "PutThirdPartyJobFailureResult"


def waits_for_retry_after(misfortunes):
    """Return the cue that a task waits for its retry, after at least this number of misfortunes."""
    return lambda history: (
        len(history.misfortunes) >= misfortunes
        and any(
            each.state == "up_for_retry"
            for run in history.server.runs.values()
            for each in run.instances.values()
        )
    )


class Struck(History):
    """
    A history in which misfortunes happen at given steps.

    :param way: The DAG.
    :param strikes: (process, step) → what happens there.
    :param plan: What is not as usual, by name.
    """

    def __init__(self, way, strikes, **plan):
        drawn = {name: PLANS[name].index(value) for name, value in plan.items()}
        super().__init__(1, {"way": sorted(all_ways()).index(way), **drawn})
        self.strikes = dict(strikes)
        #: Whether a misfortune takes longer than an offer.
        self.is_slow = False

    def _fate(self, what, kinds):
        fate = super()._fate(what, kinds)
        process = self.current.name if self.current else "-"
        strike = self.strikes.pop((process, what), None)
        if strike is None:
            return fate
        assert strike in kinds
        self.misfortunes.append(f"{strike}: {process}: {what}")
        if self.is_slow:
            self._be_slow()
        return strike

    def _be_slow(self):
        """Let the offer of the job be over, and the next one be made."""
        process, self.current = self.current, None
        self.now += self.plan.settings["lease_seconds"] + 1
        self.codepipeline.state.tick()
        self._poll()
        self.current = process

    def ends(self):
        """Let it happen; return the results that were put, and how the runs ended."""
        self.run()
        assert not self.strikes
        assert judge(self) == []
        puts = [call.operation for call in self.calls if "Put" in call.operation]
        return puts, [run.state for run in self.server.runs.values()]


def instance(history, name):
    """Return a task instance of the first run, or None before there is one."""
    runs = list(history.server.runs.values())
    return next((each for each in runs[0].instances.values() if each.name == name), None) if runs else None


def is_deferred(history, name):
    """Return whether a task of the first run waits."""
    found = instance(history, name)
    return found is not None and found.state == "deferred"


def hung_while(history, process, what, act):
    """Have a process stop at its first step of a name, do something, and let all others go first."""
    drawn = history._fate
    done = []

    def fate(step, kinds):
        current = history.current
        if not done and current is not None and current.name == process and step.startswith(what):
            done.append(step)
            act(current)
            history.hang(current)
            current.pause()
        return drawn(step, kinds)

    history._fate = fate
    return done
