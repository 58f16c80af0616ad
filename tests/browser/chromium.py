# SPDX-License-Identifier: Apache-2.0
"""Chromium, as a user of Airflow has it: logged in, with a screen and a theme."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from browser.world import Shown, World
from playwright.sync_api import Browser, BrowserContext, Frame, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

WIDE, NARROW = (1280, 800), (400, 800)
#: Where the page is, alone.
JOBS = "/codepipeline-jobs/"
#: Airflow's own page around it.
INSIDE = "/plugin/codepipeline-jobs"
#: Milliseconds; enough on a machine that is busy with other tests.
TIMEOUT = 60_000
#: Of axe: all of WCAG 2.2 AA, and what it holds for good practice.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


def executable() -> str | None:
    """Return where Chromium is, or None. ``CHROMIUM`` may name it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def a_chromium() -> Iterator[Browser]:
    """Start Chromium without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(),
            # The first: a proxy of the machine must not matter. The last: pictures look the same everywhere.
            args=["--no-proxy-server", "--font-render-hinting=none", "--hide-scrollbars"],
        )
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """
    A user with a browser window, and all that the window asked for and complained about.

    :param browser: Chromium.
    :param world: Where to look.
    :param user: Who.
    :param size: Width and height.
    :param theme: ``light`` or ``dark``; of the system, and of Airflow.
    :param script: Whether scripts run.
    """

    def __init__(
        self,
        browser: Browser,
        world: World,
        user: str,
        *,
        size: tuple[int, int] = WIDE,
        theme: str = "light",
        script: bool = True,
    ) -> None:
        self.world, self.user = world, user
        self.context: BrowserContext = browser.new_context(
            base_url=world.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            reduced_motion="reduce",
            java_script_enabled=script,
        )
        # Airflow keeps what the user chose in its menu.
        self.context.add_init_script(f"try {{ localStorage.setItem('theme', '{theme}') }} catch {{}}")
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("console", self._note_console)
        self.context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        self.context.set_default_timeout(TIMEOUT)
        self.page: Page = self.context.new_page()

    def log_in(self, password: str) -> None:
        """Fill in Airflow's own form."""
        self.page.goto("/")
        self.page.get_by_label("Username").fill(self.user)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/auth/login" not in url)

    def remember(self, cookies: list[Any]) -> None:
        """Be logged in already, by the cookies of a log-in before."""
        self.context.add_cookies(cookies)

    def open(self, path: str = JOBS) -> Page:
        """Open a page alone, and return it when its scripts have begun."""
        response = self.page.goto(path)
        assert response is not None
        self.status = response.status
        return self.page

    def open_inside(self) -> Frame:
        """Open the page by Airflow's navigation, and return its frame."""
        for seconds in (10, 20, 60):
            self.page.goto("/")
            self.page.get_by_role("button", name="Browse").click()
            self.page.get_by_role("menuitem", name="CodePipeline jobs").click()
            # A menu that Airflow draws anew as it opens takes no click.
            with contextlib.suppress(PlaywrightTimeout):
                self.page.wait_for_url(f"**{INSIDE}*", timeout=1000 * seconds)
                break
        assert INSIDE in self.page.url
        element = self.page.locator("iframe").element_handle()
        frame = element.content_frame()
        assert frame is not None
        frame.wait_for_load_state()
        return frame

    @property
    def foreign_requests(self) -> list[str]:
        """Requests to any other origin than Airflow's."""
        here = urlsplit(self.world.url).netloc
        return [url for url in self.requests if urlsplit(url).netloc not in (here, "")]

    def complaints_of(self, part: str = JOBS) -> list[str]:
        """Complaints of the pages below a path; Airflow's own are not ours."""
        return [each for each in self.complaints if part in each or each.startswith("error:")]

    def close(self) -> None:
        """Close the window."""
        self.context.close()

    def _note_console(self, message: Any) -> None:
        # Chromium's word on the frame in which Airflow shows pages of plugins.
        if message.type in ("error", "warning") and "allow-same-origin" not in message.text:
            self.complaints.append(f"{message.location.get('url', '')}: {message.type}: {message.text}")


def job_rows(page: Page | Frame, shown: Shown | None = None) -> Locator:
    """Return the rows of the list; only those of a job's pipeline, if one is named."""
    rows = page.locator("#jobs tbody tr")
    return rows if shown is None else rows.filter(has_text=shown.pipeline)


def violations(page: Page | Frame) -> list[str]:
    """Return what axe has to say against a page, a line for each rule and element."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: "
        + re.sub(r"\s+", " ", node.get("failureSummary", rule["help"]))
        for rule in found
        for node in rule["nodes"]
    ]


def overflow(page: Page | Frame) -> int:
    """Return by how many pixels a page is wider than its window."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found
