# SPDX-License-Identifier: Apache-2.0
"""Nothing that an archive holds leads out, exceeds a limit, or costs more than its size allows."""

from __future__ import annotations

from archive_fuzz.fuzz import draw, try_archive

QUICK = 60


def test_no_archive_does_what_none_may():
    verdicts = [try_archive(number) for number in range(QUICK)]
    assert {number: verdict.findings for number, verdict in verdicts if verdict.findings} == {}
    assert {"zip", "tar", "UnsafeArchive"} <= {verdict.outcome for _, verdict in verdicts}


def test_a_number_makes_the_same_archive_each_time():
    assert [draw(number) for number in range(20)] == [draw(number) for number in range(20)]
