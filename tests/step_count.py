# SPDX-License-Identifier: Apache-2.0
"""Count what a call costs, so that no test has to measure time."""

from __future__ import annotations

import sys


class Steps:
    """Count the lines of Python that run, and the calls of C's functions, within a ``with``."""

    def __init__(self):
        self.count = 0

    def _trace(self, frame, event, argument):
        self.count += 1
        return self._trace

    def _note(self, frame, event, argument):
        if event == "c_call":
            self.count += 1

    def __enter__(self):
        # That of the coverage comes back afterwards.
        self._former = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._note)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error):
        trace, profile = self._former
        sys.settrace(trace)
        sys.setprofile(profile)
