# SPDX-License-Identifier: Apache-2.0
"""
Try archives that are drawn by their number: ``make fuzz``.

A number makes the same archive on every machine, so that a finding can be tried again:
``make fuzz FIRST=number INPUTS=1``.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from archive_fuzz import tars, zips
from archive_fuzz.judge import judge


class Chance(random.Random):
    """
    What draws an archive.

    :param number: The archive's number.
    """

    def __init__(self, number):
        super().__init__(number)
        #: How much of the archive is unusual. One wrong entry would hide the others.
        self.wild = self.choice([0, 0.02, 0.2, 1])


def draw(number):
    """Return the archive of a number."""
    r = Chance(number)
    content = r.choice([zips, tars]).draw(r)
    return _damaged(r, content) if r.random() < 0.4 * r.wild else content


def _damaged(r, content):
    data = bytearray(content)
    for _ in range(r.choice([1, 1, 2, 8])):
        at = r.randrange(len(data) + 1)
        match r.randrange(6):
            case 0:
                data[at : at + 1] = r.randbytes(1)
            case 1:
                data[at : at + 4] = r.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\1\0\0\0"])
            case 2:
                del data[at : at + r.choice([1, 4, 512])]
            case 3:
                data[at:at] = data[at : at + r.choice([1, 46, 512, 5000])] * r.choice([1, 2, 20])
            case 4:
                del data[at:]
            case 5:
                other = r.randrange(len(data) + 1)
                data[at : at + 30] = data[other : other + 30]
    return bytes(data)


def try_archive(number):
    """Return the number of an archive, and what became of it."""
    with tempfile.TemporaryDirectory(prefix="archive-fuzz-") as folder:
        return number, judge(draw(number), Path(folder))


def main():
    parser = argparse.ArgumentParser(description="Try archives that nobody would make.")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many archives")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    given = parser.parse_args()
    numbers, began = range(given.first, given.first + given.inputs), time.monotonic()
    outcomes, wrong, most = Counter(), 0, 0
    # Not of the warnings, of which there are thousands.
    with multiprocessing.Pool(given.processes, logging.disable, (logging.WARNING,)) as pool:
        for number, verdict in pool.imap_unordered(try_archive, numbers, chunksize=50):
            outcomes[verdict.outcome] += 1
            most = max(most, verdict.steps)
            for finding in verdict.findings:
                wrong += 1
                print(f"{number}: {finding}", flush=True)
    how = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common())
    print(f"{given.inputs} archives in {time.monotonic() - began:.0f} s: {how}.")
    print(f"At most {most} steps; {wrong} findings.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
