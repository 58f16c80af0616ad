# SPDX-License-Identifier: Apache-2.0
"""Undo what keeps archives in their bounds, one after the other, to see that the fuzzer notices."""

from __future__ import annotations

import gzip
import logging
import re
import sys
from contextlib import ExitStack
from unittest import mock

from airflow_codepipeline_partner.artifacts import archive_guard, entry_names, tar_reader, zip_reader
from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveGuard
from airflow_codepipeline_partner.artifacts.link_walk import LinkLeadsOut, LinkWalk
from archive_fuzz.fuzz import try_archive

NOTHING = mock.Mock(return_value=None)
READER, ZIP_FILE = tar_reader._ForwardOnlyReader, zip_reader._ZipFile


def forgetful(self, path, text):
    """Follow a link as if none had been followed before."""
    if path in self._open or len(self._open) >= 40:
        raise LinkLeadsOut
    self._open.add(path)
    end = self._walk(path.rpartition("/")[0], text)
    self._open.discard(path)
    return end


#: What is undone → where, and what is there instead. A path that leads out is not among them: there is no
#: folder to make for it, so that it is refused even if nobody reads it.
UNDONE = {
    "links are followed once": (LinkWalk, "_end", forgetful),
    "links are followed": (LinkWalk, "follow", NOTHING),
    "links are read": (archive_guard, "link_fault", NOTHING),
    "control characters are refused": (entry_names, "_CONTROL", re.compile("(?!)")),
    "entries are counted": (ArchiveGuard, "count_entry", NOTHING),
    "made members are counted": (ArchiveGuard, "_count_member", NOTHING),
    "bytes are counted": (ArchiveGuard, "check_size", NOTHING),
    "records do not overlap": (READER, "_check_records", NOTHING),
    "gzip's header costs nothing": (tar_reader, "decompressed", lambda file, *_: gzip.GzipFile(fileobj=file)),
    "entries of a zip do not overlap": (ZIP_FILE, "check_overlap", NOTHING),
}


def first_finding(what, numbers):
    """Return the number of the first archive that shows that something is undone, and what it shows."""
    where, name, instead = UNDONE[what]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(where, name, instead))
        if what == "bytes are counted":
            stack.enter_context(mock.patch.object(ArchiveGuard, "count", NOTHING))
        for number in numbers:
            _, verdict = try_archive(number)
            if verdict.findings:
                return number, verdict.findings[0]
    return None


def main():
    logging.disable(logging.WARNING)
    missed = 0
    for what in UNDONE:
        found = first_finding(what, range(20_000))
        missed += found is None
        print(f"{what}: {found or 'not noticed'}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
