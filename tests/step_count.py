# SPDX-License-Identifier: Apache-2.0
"""Count what a call costs, so that no test has to measure time."""

from __future__ import annotations

import sys


class Steps:
    """Count the calls of functions, Python's and C's, that are made within a ``with``."""

    def __init__(self):
        self.count = 0

    def _note(self, frame, event, argument):
        if event in ("call", "c_call"):
            self.count += 1

    def __enter__(self):
        # Not sys.settrace, which measures the covered branches.
        self._former = sys.getprofile()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error):
        sys.setprofile(self._former)
