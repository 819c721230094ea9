"""The explorer for everybody: by keyboard, on a telephone, read aloud, from a file."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service
from scoremachines.explore.encoding import unpack
from support.browser import Viewer, needs_browser, place_on, wait_for_answer

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")
pytestmark = needs_browser
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def test_the_keyboard_is_enough(viewer: Viewer) -> None:
    page = viewer.page
    page.locator("#colours").focus()

    def press_until(selector: str) -> None:
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("(what) => document.activeElement.matches(what)", selector):
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    press_until(".clean")
    before = viewer.text(".pixel-title")
    row, column = map(int, re.findall(r"\d+", before))
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("PageDown")
    page.wait_for_timeout(300)
    moved = f"row {max(0, row - 1)}, column {max(0, column - 2)}"
    assert viewer.text(".pixel-title") == f"Pixel at {moved}"
    assert viewer.text("#reading").startswith(f"Pixel at {moved} (held). Left:")
    assert page.locator("#reading").get_attribute("role") == "status"
    assert "3 of 4" in viewer.text("#step-text")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    assert "row 11," in viewer.text(".pixel-title")
    page.keyboard.press("Escape")
    press_until(".machine-name select")
    page.keyboard.press("ArrowDown")
    viewer.settled()
    page.locator("#step").focus()
    page.keyboard.press("Home")
    assert "1 of 4" in viewer.text("#step-text")
    page.locator("#row").fill("3")
    assert "row 3," in viewer.text(".pixel-title")
    page.locator("#lab-canvas").focus()
    before = page.locator("#lab-canvas").evaluate("(canvas) => canvas.toDataURL()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    wait_for_answer(page)
    assert page.locator("#lab-canvas").evaluate("(canvas) => canvas.toDataURL()") != before
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("kind", ["served", "file"])
def test_everybody_can_use_it(
    browser: Any, address: str, file: str, kind: str, width: int, scheme: str
) -> None:
    where = address if kind == "served" else file
    viewer = Viewer(browser, width, scheme)
    page = viewer.open(where)
    if kind == "served":
        wait_for_answer(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    found = axe.Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()
    viewer.keep(f"{kind}-{width}-{scheme}")
    viewer.close(where)


def test_the_file_needs_no_server(browser: Any, file: str, service: Service) -> None:
    viewer = Viewer(browser)
    page = viewer.open(file)
    assert page.locator("#samples button").count() == 2
    assert not page.locator("#lab").is_visible()
    page.locator("#samples button").nth(1).click()
    viewer.settled()
    page.locator(".clean").first.click(position=place_on(page, ".clean", 3, 4))
    page.wait_for_timeout(200)
    image = unpack(service.finished("run", 1)["sources"]["image"])[-1, 0, 3, 4]
    assert f"image {image} " in viewer.text(".patches li:first-child")
    assert page.locator(".patches .absent").count() == 0
    page.locator("#step").fill("2")
    assert "2 of 4" in viewer.text("#step-text")
    viewer.keep("file-second-sample")
    assert viewer.requests == [file]
    viewer.close(file)


def test_a_run_that_is_deleted_meanwhile_is_reported(
    browser: Any, painted_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(painted_run, run)
    server = Server(Desk(lambda: Service(open_run(run))))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        viewer = Viewer(browser)
        page = viewer.open(server.address)
        shutil.rmtree(run)
        page.locator("#samples button").nth(1).click()
        viewer.settled()
        assert "has been deleted" in viewer.text(".machine:first-child .trouble")
        page.reload()
        assert viewer.text("h1") == "This cannot be shown"
        assert axe.Axe().run(page, options=RULES).violations_count == 0
        viewer.keep("deleted-run")
        viewer.complaints = [each for each in viewer.complaints if "410 (Gone)" not in each]
        viewer.close(server.address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_names_of_images_are_text_and_nothing_else(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from scoremachines.cli.main import main

    folder = tmp_path / "pictures"
    for label in ("<b>bold<", "plain"):
        (folder / label).mkdir(parents=True)
        for number in range(2):
            noise = np.random.default_rng(number).integers(0, 256, (7, 9, 3), dtype=np.uint8)
            name = f"<img src=x onerror=alert(1)>{number}&<script>.png"
            Image.fromarray(noise).save(folder / label / name)
    words = ["generate", str(folder), "--window", "3", "--steps", "2", "-n", "1"]
    assert main([*words, "-o", str(tmp_path / "run")]) == 0
    path = tmp_path / "page.html"
    assert main(["explore", str(tmp_path / "run"), "-o", str(path)]) == 0
    viewer = Viewer(browser)
    page = viewer.open(path.as_uri())
    assert page.locator("img, b b, main script").count() == 0
    assert "<img src=x onerror=alert(1)>" in viewer.text(".patches li:first-child")
    viewer.close(path.as_uri())
