"""The browser that is on the PATH, and a window of it that takes note of every complaint."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync")
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)]
WAIT = 60_000
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")


class Viewer:
    """A browser window that takes note of every complaint and every request."""

    def __init__(self, browser: Any, width: int = 1200, scheme: str = "light") -> None:
        window = {"width": width, "height": 900}
        self.context = browser.new_context(viewport=window, color_scheme=scheme)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> Any:
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready]", timeout=WAIT)
        self.settled()
        return self.page

    def settled(self) -> None:
        for number in (1, 2):
            self.page.wait_for_selector(
                f"#columns .machine:nth-child({number})[aria-busy=false]", timeout=WAIT
            )
        self.page.wait_for_timeout(250)

    def text(self, selector: str) -> str:
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def keep(self, name: str) -> None:
        """Keep a picture of the page where `SCOREMACHINES_SCREENSHOTS` says."""
        folder = os.environ.get("SCOREMACHINES_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    def close(self, address: str) -> None:
        """Nothing was complained about, and nobody else was asked for anything."""
        self.context.close()
        assert self.complaints == []
        outside = [url for url in self.requests if not url.startswith((address, "data:", "blob:"))]
        assert outside == []


def wait_for_answer(page: Any) -> None:
    page.wait_for_timeout(250)  # until it is asked
    page.locator("#lab-state", has_text=re.compile("Answered|No answer")).wait_for(timeout=WAIT)


def place_on(page: Any, selector: str, row: int, column: int) -> dict[str, float]:
    box = page.locator(selector).first.bounding_box()
    return {"x": (column + 0.5) * box["width"] / 14, "y": (row + 0.5) * box["height"] / 12}
