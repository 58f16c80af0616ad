# SPDX-License-Identifier: Apache-2.0
"""
What must hold of every archive, whatever it holds.

Nothing is made outside the folder, or more than the limits allow. Only this package's errors are raised, and
none that blames the worker. The cost is bounded by the archive's size: counted in calls and in memory, not
timed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from step_count import Steps

from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.extract import extract
from airflow_codepipeline_partner.artifacts.pack import pack
from airflow_codepipeline_partner.exceptions import ArtifactError

LIMITS = ArchiveLimits(max_members=200, max_bytes=200_000)
#: What the limits themselves allow, and what each byte of the archive adds.
BASE_STEPS, STEPS_PER_BYTE = 1_000_000, 2
#: xz keeps 8 MiB by default, and a header of a tar may have 2 MiB, which is copied.
BASE_MEMORY, MEMORY_PER_BYTE = 16_000_000, 20
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass
class Verdict:
    """What became of an archive."""

    outcome: str
    steps: int
    memory: int
    findings: list[str]


def judge(content, folder):
    """Unpack an archive in an empty folder, and return what became of it."""
    archive, target = folder / "archive", folder / "out" / "target"
    target.parent.mkdir()
    archive.write_bytes(content)
    findings = []
    tracemalloc.start()
    with Steps() as steps:
        try:
            outcome = extract(archive, target, artifact="Source", limits=LIMITS, clock=lambda: 0)
        except ArtifactError as error:
            outcome = type(error).__name__
            if error.failure_type != "JobFailed" or error.retryable:
                findings.append(f"blames the worker: {error}")
        except Exception as error:
            outcome = type(error).__name__
            findings.append(f"raises {error!r}")
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if steps.count > BASE_STEPS + STEPS_PER_BYTE * len(content):
        findings.append(f"takes {steps.count} steps for {len(content)} bytes")
    if memory > BASE_MEMORY + MEMORY_PER_BYTE * len(content):
        findings.append(f"takes {memory} bytes of memory for {len(content)}")
    findings += _look_around(folder, target)
    if target.exists():
        findings += _look_inside(target) + _look_at_list(archive, outcome)
        if not findings and outcome != "raw":
            findings += _pack_again(target, folder)
    return Verdict(outcome, steps.count, memory, findings)


def _look_around(folder, target):
    allowed = {"target"} if target.exists() else set()
    found = {*os.listdir(target.parent)} - allowed | {*os.listdir(folder)} - {"archive", "out"}
    return [f"leaves {sorted(found)}"] if found else []


def _tree(top):
    """Yield the path and the entry of all that lies below a folder."""
    with os.scandir(top) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _tree(entry.path)


def _look_inside(target):
    entries, findings = list(_tree(target)), []
    root = os.path.realpath(target)
    if len(entries) > LIMITS.max_members:
        findings.append(f"makes {len(entries)} members")
    size = sum(entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False))
    if size > LIMITS.max_bytes:
        findings.append(f"makes {size} bytes")
    for entry in entries:
        if CONTROL.search(entry.name):
            findings.append(f"makes the name {entry.name!a}")
        if entry.is_symlink() and os.path.commonpath((root, os.path.realpath(entry.path))) != root:
            findings.append(f"makes a link that leads out, {entry.name!a}")
    return findings


def _look_at_list(archive, outcome):
    """Return what is wrong with an archive's own list, which Python's modules may read by now."""
    members = []
    if outcome == "zip":
        with zipfile.ZipFile(archive) as opened:
            members = sorted(opened.infolist(), key=lambda member: member.header_offset)
        if any(
            a.header_offset + a.compress_size > b.header_offset
            for a, b in pairwise(members)
            # A folder's content is not read.
            if a.compress_size and not (a.is_dir() or stat.S_ISDIR(a.external_attr >> 16))
        ):
            return ["reads bytes more than once"]
    elif outcome.startswith("tar"):
        # tarfile stops at the zeros between two streams of xz, and fails at a map of holes that is cut there.
        with suppress(tarfile.ReadError, ValueError), tarfile.open(archive, encoding="utf-8") as opened:
            members = opened.getmembers()
    return [f"has {len(members)} entries"] if len(members) > LIMITS.max_members else []


def _contents(top):
    """Return all that lies below a folder: what each path holds, or where it leads."""
    found = {}
    for entry in _tree(top):
        path = os.path.relpath(entry.path, top)
        if entry.is_symlink():
            found[path] = os.readlink(entry.path)
        elif entry.is_file():
            with open(entry.path, "rb") as file:
                found[path] = file.read()
        else:
            found[path] = None
    return found


def _pack_again(target, folder):
    """Pack what was unpacked, and compare what that holds."""
    contents, findings = _contents(target), []
    for kind in ("tar", "zip"):
        archive, again = folder / f"again.{kind}", folder / f"again-{kind}"
        try:
            pack(target, archive, artifact="Built", archive_format=kind)
        except ArtifactError as error:
            if "has no file" not in str(error) and not (kind == "zip" and "not UTF-8" in str(error)):
                findings.append(f"cannot be packed again: {error}")
            continue
        extract(archive, again, artifact="Built")
        if _contents(again) != contents:
            findings.append(f"is another after it was packed as {kind}")
        shutil.rmtree(again)
    return findings
