"""One machine, one training set, one folder with a page."""

from __future__ import annotations

import shlex
from pathlib import Path
from time import monotonic

from scoremachines.experiments.generate import paint
from scoremachines.experiments.run_settings import GenerateSettings
from scoremachines.io.files import exists
from scoremachines.report import MachineView, Page, Section, write_page
from scoremachines.runs.record import SETTINGS

__all__ = ["generate_in_folder", "view"]

AGAIN = ["scoremachines", "generate", "--config"]


def generate_in_folder(
    settings: GenerateSettings, output: str, *, resume: bool = False
) -> tuple[MachineView, Path]:
    """Paint, and write everything into a folder.

    Args:
        settings: of the run.
        output: the folder.
        resume: go on with the run that the folder holds.

    Returns:
        What there is to see, and the page.

    Raises:
        InputError: a setting, the training set or the folder cannot be used.
    """
    title = f"{settings.machine.upper()}, attention {settings.attention}"
    title += f", h = {settings.smooth}" if settings.smooth != "0" else ""
    shown = view(settings, output, title, _caption(settings), resume)
    data = shown.result.data
    page = Page(
        title=f"New images from {data.name}",
        lead=f"{settings.n} samples, painted by a score machine in closed form, and where their "
        "pixels came from.",
        sections=[Section(f"{data.name}", f"{len(data)} training images.", [shown])],
        settings=(Path(output) / SETTINGS).read_text(encoding="utf-8"),
        command=shlex.join([*AGAIN, str(Path(output) / SETTINGS), "-o", "again"]),
    )
    return shown, write_page(page, Path(output) / "report.html")


def view(
    settings: GenerateSettings, folder: str | Path, title: str, caption: str, resume: bool
) -> MachineView:
    """Carry out a run, have it judged where the set has a judge, and return it for a page."""
    start, fresh = monotonic(), not exists("output", folder)
    painted = paint(settings, folder, resume=resume, title=title)
    return MachineView(
        title=title,
        caption=caption,
        result=painted.shown,
        count=painted.count,
        verdicts=painted.verdicts,
        # The time of what is left of a run is not that of a run.
        seconds=monotonic() - start if fresh else None,
    )


def _caption(settings: GenerateSettings) -> str:
    if settings.machine in ("ideal", "equivariant"):
        return "Every pixel sees the whole image."
    return f"Every pixel sees a window of {settings.window} pixels a side."
