# SPDX-License-Identifier: Apache-2.0
"""Check a release before anything is uploaded, or list what it needs: ``python -m release check``."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from release import archives
from release.installed import try_out, write_sbom

_Result = TypeVar("_Result")


def main() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("what", choices=["check", "sbom"])
    parser.add_argument("--dist", type=Path, default=archives.ROOT / "dist", help="where the archives go")
    parser.add_argument("--airflow", nargs="*", default=[], help="versions to try, or lowest")
    tag = os.environ.get("RELEASE_TAG")
    parser.add_argument("--tag", default=tag, help="the tag that is released; default $RELEASE_TAG, if any")
    arguments = parser.parse_args()
    try:
        if arguments.what == "check":
            if arguments.tag:
                check_tag(arguments.tag)
            check(arguments.dist, arguments.airflow)
        else:
            sbom(arguments.dist, arguments.airflow[0])
    except RuntimeError as error:
        print(f"[release] FAILED: {error}", file=sys.stderr)
        return 1
    return 0


def check_tag(tag: str) -> None:
    """
    Check that a tag is that of the package's version, and that the changelog has a section for it.

    :param tag: ``v`` and the version.
    :raises RuntimeError: The release is not prepared.
    """
    version = archives.version()
    if tag != f"v{version}":
        raise RuntimeError(f"The tag is {tag}, the package's version {version}.")
    if f"\n## [{version}] - " not in (archives.ROOT / "CHANGELOG.md").read_text():
        raise RuntimeError(f"CHANGELOG.md has no section {version}: make changelog DRAFT= writes it.")
    if left := sorted(path.name for path in (archives.ROOT / "changelog.d").glob("+*")):
        raise RuntimeError(f"changelog.d still has {', '.join(left)}: make changelog DRAFT= takes them.")


def check(dist: Path, versions: list[str]) -> None:
    """
    Build, look into the archives, and use the wheel.

    :param dist: Where the archives go.
    :param versions: Airflow versions to use it with.
    :raises RuntimeError: Something is not as it has to be.
    """
    wheel, sdist = _timed("the archives are built", lambda: archives.build(dist))
    _timed("what is in them", lambda: _look_into([wheel, sdist]))
    _timed("the same wheel again", lambda: _build_again(wheel))
    # Two at once: each waits for programs that use one processor.
    with ThreadPoolExecutor(max_workers=2) as pool:
        tried = [
            pool.submit(_timed, f"the wheel on Airflow {airflow}", functools.partial(try_out, wheel, airflow))
            for airflow in versions
        ]
    for each in tried:
        each.result()


def sbom(dist: Path, airflow: str) -> None:
    """
    Write a software bill of materials for the wheel that was checked.

    :param dist: Where the wheel is.
    :param airflow: The Airflow version that its environment has.
    :raises RuntimeError: There is no wheel.
    """
    wheels = list(dist.glob("*.whl"))
    if len(wheels) != 1:
        raise RuntimeError(f"{dist} has {len(wheels)} wheels; make release-check builds one.")
    _timed("the bill of materials", lambda: print(f"    {write_sbom(wheels[0], airflow).name}"))


def _look_into(paths: list[Path]) -> None:
    wanted = archives.sources()
    for path in paths:
        archive = archives.Archive.read(path)
        print(f"    {path.name}: {len(archive.files)} files, {path.stat().st_size:,} bytes")
        if complaints := archives.complaints(archive, wanted):
            raise RuntimeError(f"{path.name}: " + "\n  ".join(complaints))


def _build_again(wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not archives.is_reproducible(wheel, Path(folder)):
            raise RuntimeError(f"{wheel.name} is another one if it is built again.")


def _timed(what: str, do: Callable[[], _Result]) -> _Result:
    print(f"[release] {what}", flush=True)
    started = time.monotonic()
    result = do()
    print(f"[release] {what}: done in {time.monotonic() - started:.1f} s", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
