"""The explorer in a real browser: looked at, clicked, typed into, read aloud."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scoremachines.cli.explore import explore
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service
from scoremachines.explore.encoding import unpack
from scoremachines.io.pictures import mosaic

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")

QUIET = ("gpu", "quic", "background-networking", "component-update", "sync")
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)]
WAIT = 60_000
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    server = Server(Desk(lambda: service))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def file(painted_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("static") / "page.html"
    assert explore(str(painted_run), output=str(path), samples=2) == path
    return path.as_uri()


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


@pytest.fixture
def viewer(browser: Any, address: str) -> Iterator[Viewer]:
    opened = Viewer(browser)
    opened.open(address)
    # It begins with the first sample that the judge knows something of.
    assert opened.text("#sample-number") == "2"
    opened.page.locator("#samples button").first.click()
    opened.settled()
    yield opened
    opened.close(address)


def wait_for_answer(page: Any) -> None:
    page.wait_for_timeout(250)  # until it is asked
    page.locator("#lab-state", has_text=re.compile("Answered|No answer")).wait_for(timeout=WAIT)


def place_on(page: Any, selector: str, row: int, column: int) -> dict[str, float]:
    box = page.locator(selector).first.bounding_box()
    return {"x": (column + 0.5) * box["width"] / 14, "y": (row + 0.5) * box["height"] / 12}


def test_the_page_shows_samples_and_two_machines(viewer: Viewer) -> None:
    page = viewer.page
    assert page.locator("#samples button").count() == 3
    assert page.locator("#columns .machine").count() == 2
    assert viewer.text("h1") == "Where every pixel came from"
    assert "This run: no attention" in viewer.text("#columns .machine:first-child h3")
    assert re.search(
        r"Put together from \d+ training images? of \d class", viewer.text("#contrast")
    )
    assert "4 of 4" in viewer.text("#step-text")
    viewer.keep("explorer-1200-light")


def test_clicking_a_pixel_names_its_sources(viewer: Viewer, service: Service) -> None:
    page = viewer.page
    trace = service.finished("run", 0)
    image, position, weight = (
        unpack(trace["sources"][name])[-1, 0, 7, 9] for name in ("image", "position", "weight")
    )
    page.locator(".clean").first.click(position=place_on(page, ".clean", 7, 9))
    page.wait_for_timeout(200)
    said = viewer.text(".machine:first-child .pixel-title")
    assert said == "Pixel at row 7, column 9"
    first = viewer.text(".machine:first-child .patches li:first-child")
    assert f"image {image} " in first
    assert f"row {position // 14}, column {position % 14}" in first
    share = 100 * float(weight) / 65535
    assert abs(float(re.findall(r"([\d.]+) %", first)[0]) - share) < 0.51
    assert "(held)" in viewer.text("#reading")
    # Held, it does not follow the mouse; let go, it does.
    page.locator(".map").first.hover(position=place_on(page, ".map", 2, 3))
    assert viewer.text(".pixel-title") == "Pixel at row 7, column 9"
    page.locator(".clean").first.click(position=place_on(page, ".clean", 7, 9))
    page.locator(".map").first.hover(position=place_on(page, ".map", 2, 3))
    assert viewer.text(".pixel-title") == "Pixel at row 2, column 3"


def test_the_source_map_has_the_colours_of_the_report(viewer: Viewer, service: Service) -> None:
    page = viewer.page
    page.locator("#colours").select_option("image")
    page.wait_for_timeout(200)
    trace = service.finished("run", 0)
    image, position = (
        torch.tensor(unpack(trace["sources"][n])[-1]) for n in ("image", "position")
    )
    weight = torch.tensor(unpack(trace["sources"]["weight"])[-1] / 65535)
    expected = np.asarray(mosaic(image.long(), position.long(), weight.double()))
    shown = page.locator(".map").first.evaluate(
        """(canvas) => {
          const side = canvas.width / 14, found = [];
          const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          for (let row = 0; row < 12; row += 1) for (let column = 0; column < 14; column += 1) {
            const x = Math.floor((column + 0.8) * side), y = Math.floor((row + 0.3) * side);
            const at = 4 * (y * canvas.width + x);
            found.push([...all.slice(at, at + 3)]);
          }
          return found;
        }"""
    )
    apart = np.abs(np.array(shown).reshape(12, 14, 3) - expected).max(-1)
    # Frames around the window and the pixel cover some of it.
    assert (apart <= 2).mean() > 0.85


def test_sliding_through_the_steps_changes_everything(viewer: Viewer) -> None:
    page = viewer.page

    def shown(name: str) -> str:
        return str(page.locator(f".{name}").first.evaluate("(canvas) => canvas.toDataURL()"))

    last = {name: shown(name) for name in ("clean", "noisy", "map", "entropy", "timeline")}
    page.locator("#step").fill("1")
    page.wait_for_timeout(200)
    assert "1 of 4" in viewer.text("#step-text")
    assert "100 % noise" in viewer.text("#step-text")
    for name, before in last.items():
        assert shown(name) != before, name
    assert "Undecided between about" in viewer.text(".sentence")
    viewer.keep("explorer-first-step")
    page.locator("#play").click()
    page.locator("#step-text", has_text="4 of 4").wait_for(timeout=WAIT)
    assert shown("clean") == last["clean"]
    box = page.locator(".timeline").first.bounding_box()
    page.locator(".timeline").first.click(position={"x": box["width"] * 0.3, "y": 20})
    page.wait_for_timeout(200)
    assert "2 of 4" in viewer.text("#step-text")


def test_another_machine_from_the_same_noise(viewer: Viewer) -> None:
    page = viewer.page
    page.locator("#step").fill("1")
    noisy = [
        each.evaluate("(c) => c.toDataURL()") for each in page.locator("#columns .noisy").all()
    ]
    assert noisy[0] == noisy[1]
    assert "Listens to no other pixel" in viewer.text(".machine:first-child .listens")
    assert "Listens to all other pixels alike" in viewer.text(".machine:nth-child(2) .listens")
    page.locator(".machine-name select").select_option("identity")
    viewer.settled()
    assert "Listens most to row" in viewer.text(".machine:nth-child(2) .listens")
    page.locator("#samples button").nth(2).click()
    viewer.settled()
    assert viewer.text("#sample-number") == "2"
    assert page.locator("#samples button").nth(2).get_attribute("aria-pressed") == "true"


def test_drawing_is_answered(viewer: Viewer) -> None:
    page = viewer.page
    wait_for_answer(page)
    answer = "#lab-answer .clean"

    def shown() -> str:
        return str(page.locator(answer).evaluate("(canvas) => canvas.toDataURL()"))

    page.locator("#lab-start").select_option("blank")
    page.locator("#lab-noise").fill("10")
    wait_for_answer(page)
    empty = shown()
    page.locator("#lab-palette .dab").nth(4).click()
    page.locator("#lab-brush").select_option("3")
    page.locator("#lab-canvas").click(position=place_on(page, "#lab-canvas", 4, 5))
    wait_for_answer(page)
    drawn = shown()
    assert drawn != empty
    for name, value in (
        ("window", "1"),
        ("sources", "same"),
        ("attention", "full"),
        ("label", "0"),
    ):
        before = page.locator("#lab-answer .map").evaluate("(canvas) => canvas.toDataURL()")
        page.locator(f"#lab-{name}").select_option(value)
        wait_for_answer(page)
        assert viewer.text("#lab-state").startswith("Answered")
        after = page.locator("#lab-answer .map").evaluate("(canvas) => canvas.toDataURL()")
        assert after != before, name
    page.locator("#lab-window").select_option("image")
    page.locator("#lab-sources").select_option("inside")
    wait_for_answer(page)
    assert "Accepted: same or wrapped" in viewer.text("#lab-answer .trouble")
    viewer.complaints = [each for each in viewer.complaints if "400 (Bad Request)" not in each]
    page.locator("#lab-sources").select_option("wrapped")
    wait_for_answer(page)
    page.locator("#lab-start").select_option("noisy")
    wait_for_answer(page)
    assert "noisy image itself" in viewer.text("#lab-note")
    viewer.keep("explorer-drawn")


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


def test_a_run_that_is_deleted_meanwhile_is_said_to_be(
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
