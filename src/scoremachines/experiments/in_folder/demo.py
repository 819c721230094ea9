"""Real images and the crafted set, without and with attention, on one page."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import torch

from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.experiments.in_folder.generate import view
from scoremachines.experiments.run_settings import GenerateSettings
from scoremachines.io.files import atomic_path
from scoremachines.io.folders import output_folder
from scoremachines.io.pictures import grid
from scoremachines.report import MachineView, Page, Section, write_page
from scoremachines.sampling.result import save_picture

__all__ = ["demo_in_folder"]

CAPTIONS = {
    "none": "Each pixel picks its patch alone: good patches, but they do not agree.",
    "identity": "Pixels attend to places that look like their own.",
    "top1": "Each pixel attends to its single most informative partner.",
    "tiled": "Pixels attend to the whole picture, every pixel counted once.",
    "full": "Pixels attend to every window of the picture.",
}
SHAPES = GenerateSettings(
    source="shapes",
    shapes=ShapesConfig(size=12, n=100, feature_size=3),
    window="7",
    n=60,
    batch=20,
)
DIGITS = GenerateSettings(source="digits", limit=300, window="5", n=8, batch=8)
PHOTOGRAPHS = GenerateSettings(
    source="photographs", size="16", limit=200, window="7", n=6, batch=6
)
SECTIONS = (
    (
        "shapes",
        SHAPES,
        tuple(CAPTIONS),
        "The crafted set: three squares at random places, all of one of three colours. A new "
        "image should have squares of one colour, in an arrangement that no training image has.",
    ),
    (
        "digits",
        DIGITS,
        ("none", "tiled"),
        "Real images: handwritten digits of 8×8 pixels.",
    ),
    (
        "photographs",
        PHOTOGRAPHS,
        ("none", "tiled"),
        "Real images: tiles of two colour photographs, 16×16 pixels.",
    ),
)


MARKER = "demo.txt"
SHOWN = 12
"""Samples of each machine in a section's picture, one machine a row."""


def demo_in_folder(output: str, *, resume: bool = False) -> tuple[list[MachineView], Path]:
    """Carry out the runs, each in a folder of its own, and write one page about them.

    Args:
        output: the folder.
        resume: go on with the runs that the folder holds.

    Returns:
        What there is to see, in the order of the page, and the page.

    Raises:
        InputError: the folder cannot be used.
    """
    with output_folder(output, marker=MARKER, resume=resume) as folder:
        with atomic_path(folder / MARKER) as path:
            path.write_text("Made by: scoremachines demo\n")
        sections = _sections(folder)
        page = _write_page(sections, folder, output)
    return [shown for section in sections for shown in section.machines], page


def _sections(folder: Path) -> list[Section]:
    """Carry out all runs, and return what there is to see of them."""
    sections = []
    for name, settings, attentions, text in SECTIONS:
        views = [
            view(
                replace(settings, attention=attention),
                folder / name / attention,
                f"ELS, attention {attention}",
                CAPTIONS[attention],
                resume=True,
            )
            for attention in attentions
        ]
        sections.append(Section(name.capitalize(), text, views))
        rows = torch.cat([shown.result.images[:SHOWN] for shown in views])
        columns = min(SHOWN, settings.n)
        save_picture(grid(rows, columns), folder / f"{name}.png")
    return sections


def _write_page(sections: list[Section], folder: Path, output: str) -> Path:
    page = Page(
        title="Score machines: new images in closed form",
        lead="No network was trained. Each machine picks, pixel by pixel, from patches of its "
        "training images; attention makes the picks agree across the picture. Samples with the "
        "same number started from the same noise.",
        sections=sections,
        command=shlex.join(["scoremachines", "demo", "-o", output]),
    )
    return write_page(page, folder / "index.html")
