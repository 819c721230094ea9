"""The page as HTML: one file that loads nothing, readable without scripts (theory §6)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from scoremachines._version import __version__
from scoremachines.io.files import atomic_path
from scoremachines.io.pictures import to_data_uri
from scoremachines.report.samples import DETAILED, some_samples, some_training_images
from scoremachines.report.views import Page

__all__ = ["PAGE_BYTES", "Shown", "fill_template", "render", "write_html", "write_page"]

PAGE_BYTES = 4_000_000
"""Above this size of the page, pictures are reduced."""
LONGEST, SHORTEST = 192, 8
"""Where reducing starts and ends: the longer side of a picture, in pixels."""
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that HTML does not allow, though file names may hold them."""


@dataclass(frozen=True)
class Shown:
    """A picture in the page.

    Args:
        uri: its pixels as a `data:` address.
        width: on the screen, in pixels.
        height: on the screen, in pixels.
        smooth: it is larger than its place on the screen, so its pixels are not to be seen.
        transparent: it has an alpha channel.
    """

    uri: str
    width: int
    height: int
    smooth: bool
    transparent: bool


def write_page(page: Page, path: Path) -> Path:
    """Write a page to a file, whole or not at all.

    Args:
        page: what to show.
        path: the file.

    Returns:
        The file.

    Raises:
        InputError: if the file cannot be written.
    """
    return write_html(render(page), path)


def write_html(html: str, path: Path) -> Path:
    """Write a document to a file, whole or not at all.

    Args:
        html: the document.
        path: the file.

    Returns:
        The file.

    Raises:
        InputError: if the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def render(page: Page) -> str:
    """Return a page as HTML that needs no other file.

    Pictures are kept pixel by pixel up to a side of 192. Where the page would exceed `PAGE_BYTES`,
    larger ones are reduced until it does not, and the page has a line on it.

    Args:
        page: what to show.

    Returns:
        The document, which UTF-8 can encode.
    """
    values = {
        "page": page,
        "training": [some_training_images(section.data) for section in page.sections],
        "samples": [
            [some_samples(machine) for machine in section.machines] for section in page.sections
        ],
        "detailed": DETAILED,
    }
    limit = LONGEST
    while True:
        html = fill_template("page.html", **values, limit=limit, show=_shower(limit))
        size = len(html.encode())
        if size <= PAGE_BYTES or limit <= SHORTEST:
            return html
        # A picture's bytes grow with the square of its side.
        limit = int(limit * min(0.9, math.sqrt(PAGE_BYTES / size)))


def fill_template(name: str, **values: object) -> str:
    """Return a document made of one of the package's templates.

    Args:
        name: of the template, such as `page.html`; those that extend `base.html` need a `page`
            with title, lead, settings and command.
        **values: what it shows.

    Returns:
        The document, which UTF-8 can encode.
    """
    template = _environment().get_template(name)
    return _cleaned(template.render(values, version=__version__))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scoremachines", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, interval=interval, duration=duration, decimals=decimals
    )
    return environment


def percent(rate: float) -> str:
    """Return a rate from 0 to 1 in percent, or a dash if it is NaN."""
    return "–" if math.isnan(rate) else f"{100 * rate:.1f}\N{NO-BREAK SPACE}%"


def decimals(number: float) -> str:
    """Return a number with three decimals, or a dash if it is NaN."""
    return "–" if math.isnan(number) else f"{number:.3f}".replace("-", "−")


def interval(ends: tuple[float, float]) -> str:
    """Return an interval of rates in percent."""
    return f"{100 * ends[0]:.1f} to {percent(ends[1])}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _shower(limit: int) -> Callable[[Image.Image, int], Shown]:
    """Return what fits a picture to a square place, storing at most `limit` pixels a side."""

    def show(picture: Image.Image, place: int) -> Shown:
        longest = max(picture.size)
        # Small pictures are enlarged by a whole number, so that all their pixels are equal.
        scale = place // longest if 2 * longest <= place else place / longest
        width, height = (max(1, round(side * scale)) for side in picture.size)
        # Screens of double density show twice the pixels of the place.
        most = min(limit, 2 * place)
        if longest > most:
            picture = picture.copy()
            picture.thumbnail((most, most), Image.Resampling.LANCZOS)
        uri = to_data_uri(picture)
        return Shown(uri, width, height, longest > place, picture.mode == "RGBA")

    return show


def _cleaned(html: str) -> str:
    """Return the text without what a document may not hold: controls, halves of surrogates."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", html).encode("utf-8", "replace").decode()
