"""The explorer in a real browser: looked at, clicked, drawn into."""

from __future__ import annotations

import re

import numpy as np
import torch

from scoremachines.explore import Service
from scoremachines.explore.encoding import unpack
from scoremachines.io.pictures import mosaic
from support.browser import WAIT, Viewer, needs_browser, place_on, wait_for_answer

pytestmark = needs_browser


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
    assert "Attends to no other pixel" in viewer.text(".machine:first-child .attends")
    assert "Attends to all other pixels alike" in viewer.text(".machine:nth-child(2) .attends")
    page.locator(".machine-name select").select_option("identity")
    viewer.settled()
    assert "Attends most to row" in viewer.text(".machine:nth-child(2) .attends")
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
        ("sources", "aligned"),
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
    page.locator("#lab-sources").select_option("valid")
    wait_for_answer(page)
    assert "Accepted: aligned or circular" in viewer.text("#lab-answer .trouble")
    viewer.complaints = [each for each in viewer.complaints if "400 (Bad Request)" not in each]
    page.locator("#lab-sources").select_option("circular")
    wait_for_answer(page)
    page.locator("#lab-start").select_option("noisy")
    wait_for_answer(page)
    assert "noisy image itself" in viewer.text("#lab-note")
    viewer.keep("explorer-drawn")
