# SPDX-License-Identifier: Apache-2.0
"""Take the pictures that the documentation shows: ``make pictures``."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from browser.chromium import Visitor, a_chromium, job_rows
from browser.world import ADMIN, World, a_world
from PIL import Image
from playwright.sync_api import Browser
from support import REPO

from demo.processes import adopt_orphans

FOLDER = REPO / "docs" / "pictures"
MAX_BYTES = 150_000


def show_jobs(visitor: Visitor) -> None:
    """Show the list."""
    visitor.open_inside()


def show_job(visitor: Visitor) -> None:
    """Show the page of a job whose action went on."""
    frame = visitor.open_inside()
    job_rows(frame, visitor.world.jobs["succeeded"]).locator(".job-link").click()
    frame.locator("#timeline").scroll_into_view_if_needed()


def show_executions(visitor: Visitor) -> None:
    """Show the list of executions."""
    frame = visitor.open_inside()
    frame.get_by_role("link", name="Executions").click()
    frame.locator("#executions").wait_for()


#: File → theme, and what is shown.
PICTURES: dict[str, tuple[str, Callable[[Visitor], None]]] = {
    "jobs-light.png": ("light", show_jobs),
    "jobs-dark.png": ("dark", show_jobs),
    "job.png": ("light", show_job),
    "executions.png": ("light", show_executions),
}


def take_all(world: World, browser: Browser) -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, (theme, show) in PICTURES.items():
        visitor = Visitor(browser, world, ADMIN, theme=theme)
        visitor.log_in(world.passwords[ADMIN])
        show(visitor)
        visitor.page.wait_for_load_state("networkidle")
        # The pointer is where it clicked.
        visitor.page.mouse.move(0, 0)
        path = FOLDER / name
        shot = Image.open(io.BytesIO(visitor.page.screenshot(animations="disabled")))
        # A palette holds all that a page of text shows, at a third of the size.
        shot.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
        visitor.close()
        size = path.stat().st_size
        print(f"{path.relative_to(REPO)}: {size} bytes")
        if size > MAX_BYTES:
            sys.exit(f"{name} is larger than {MAX_BYTES} bytes.")


def main() -> None:
    """Make a world, and take the pictures."""
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="codepipeline-pictures-") as home, a_chromium() as browser:
        print("Starting Airflow, and making jobs: about a minute.", flush=True)
        with a_world(Path(home)) as world:
            take_all(world, browser)


if __name__ == "__main__":
    main()
