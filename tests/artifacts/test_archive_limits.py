# SPDX-License-Identifier: Apache-2.0
"""A limit is explained to who can change it, and to who cannot."""

from __future__ import annotations

import os
import pickle

import pytest
from archive_files import KINDS, MAKE, file

from airflow_codepipeline_partner.artifacts import archive_guard
from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.exceptions import UnsafeArchive

LIMITS = {
    "max_members": ArchiveLimits(max_members=2),
    "max_bytes": ArchiveLimits(max_bytes=1000),
    "max_ratio": ArchiveLimits(max_ratio=0.5),
    "max_seconds": ArchiveLimits(max_seconds=0.5),
}


class Clock:
    """A clock that goes on by a second whenever it is read."""

    now = 0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "limits"), LIMITS.items())
def test_the_author_reads_the_limit_and_the_customer_not(unpack, monkeypatch, kind, name, limits):
    monkeypatch.setattr(archive_guard, "RATIO_FROM_BYTES", 1)
    content = MAKE[kind]([file(f"f{n}", os.urandom(20_000)) for n in range(3)])
    with pytest.raises(UnsafeArchive) as refusal:
        unpack(content, limits=limits, clock=Clock() if name == "max_seconds" else lambda: 0)
    error = pickle.loads(pickle.dumps(refusal.value))  # noqa: S301 - our own
    assert f"the DAG's author can raise {name} of ArchiveLimits" in str(error)
    assert "max_" not in error.for_customer
    assert "DAG" not in error.for_customer
    assert "than this action accepts. Nothing was unpacked. Make the artifact smaller" in error.for_customer


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_customer_can_mend_both_read(unpack, kind):
    with pytest.raises(UnsafeArchive) as refusal:
        unpack(MAKE[kind]([file("../evil")]))
    assert refusal.value.for_customer == str(refusal.value)


@pytest.mark.parametrize("kind", KINDS)
def test_time_that_is_left_is_no_trouble(unpack, kind):
    content = MAKE[kind]([file(f"f{n}") for n in range(3)])
    assert len(unpack(content, limits=ArchiveLimits(max_seconds=1000), clock=Clock())) == 3


def test_a_ratio_without_end_is_no_limit(unpack):
    limits = ArchiveLimits(max_ratio=float("inf"), max_seconds=float("inf"), max_bytes=10)
    assert unpack(MAKE["zip"]([file("a", b"1")]), limits=limits) == {"a": b"1"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_folders_above_count(refused, kind):
    """Each is kept, so that few long paths would take much memory."""
    content = MAKE[kind]([file(f"{number}" + "/a-long-folder" * 200) for number in range(4)])
    assert "or longer names, than max_members (1000)" in refused(
        content, limits=ArchiveLimits(max_members=1000)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_piece_of_a_long_file_looks_at_the_clock(refused, kind):
    content = MAKE[kind]([file("a", bytes(5_000_000))])
    assert "takes longer than max_seconds (20 s)" in refused(
        content, limits=ArchiveLimits(max_seconds=20), clock=Clock()
    )
