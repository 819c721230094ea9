"""`scoremachines generate`: one machine, one training set, one folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from time import monotonic

from scoremachines.experiments.generate import paint
from scoremachines.experiments.run_settings import GenerateSettings
from scoremachines.io.files import exists
from scoremachines.report import MachineView, Page, Section, write_page
from scoremachines.runs.record import SETTINGS
from scoremachines.sampling.saving import GRID

__all__ = ["generate", "view"]

AGAIN = ["scoremachines", "generate", "--config"]


def generate(settings: GenerateSettings, output: str, *, resume: bool = False) -> Path:
    """Paint, write everything into a folder, and say where the page is.

    Args:
        settings: of the run.
        output: the folder.
        resume: go on with the run that the folder holds.

    Returns:
        The page.

    Raises:
        InputError: a setting, the training set or the folder cannot be used.
    """
    title = f"{settings.machine.upper()}, attention {settings.attention}"
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
    path = write_page(page, Path(output) / "report.html")
    part = f" (the first {GRID})" if settings.n > GRID else ""
    files = f"samples/, grid.png{part}, provenance.*, contributions.*"
    print(f"{settings.n} samples in {output}: {files}")
    if settings.engine == "adaptive":
        bound = f"at most {shown.result.bound:.2g} off" if shown.result.bound else "exact"
        print(f"x̂0 was {bound} in every step, sample and pixel")
    if shown.verdicts is not None:
        rates = shown.verdicts.rates()
        chance = shown.verdicts.chance()
        print(f"consistent: {rates['consistent']}, of valid ones by chance {100 * chance:.1f} %")
    print(f"page: {path}")
    print(f"look closer: {shlex.join(['scoremachines', 'explore', output])}")
    return path


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
        # What is left of a run says nothing about how long it takes.
        seconds=monotonic() - start if fresh else None,
    )


def _caption(settings: GenerateSettings) -> str:
    if settings.machine in ("ideal", "equivariant"):
        return "Every pixel sees the whole image."
    return f"Every pixel sees a window of {settings.window} pixels a side."
